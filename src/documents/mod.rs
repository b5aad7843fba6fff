//! Documents that are made of rows and recordings: the report of a test event as PDF, FHIR resources, the rows of an
//! exported record, and the card of a model. Values in, text or bytes out.

pub mod fhir;
pub mod model_card;
pub mod record;
pub mod report;
mod wording;
