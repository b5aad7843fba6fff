//! Documents that are made of rows and recordings: the report of a test event as PDF, FHIR resources, and the rows of an
//! exported record. Values in, text or bytes out.

pub mod fhir;
pub mod record;
pub mod report;
