//! `objects.*`: where objects are, and its rules.

use super::ConfigError;
use super::check::{not_allowed, not_compiled};
use super::sections::section;
use serde::{Deserialize, Serialize};

/// Encryption at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectsEncryption {
    /// What the bucket does by itself.
    #[serde(rename = "none")]
    None,
    /// With a key of S3's.
    #[serde(rename = "AES256")]
    Aes256,
    /// With a key of KMS.
    #[serde(rename = "aws:kms")]
    Kms,
}

section!(
    /// Objects.
    ObjectsConfig {
        /// `file://PATH`, where `{data_dir}` stands for the data folder, or `s3://BUCKET/PREFIX`.
        url: String = "file://{data_dir}/objects".into(),
        /// Largest object that is read into memory, bytes.
        max_read_bytes: u64 = 256 << 20,
        /// Address of an S3-compatible server; none is Amazon.
        endpoint: Option<String> = None,
        /// Whether the bucket's name goes into the path of a URL; most compatible servers need it.
        path_style: bool = false,
        /// Region of the bucket; none takes `AWS_REGION`, the profile's or the machine's.
        region: Option<String> = None,
        /// `none` (what the bucket does by itself), `AES256` or `aws:kms`.
        server_side_encryption: ObjectsEncryption = ObjectsEncryption::None,
        /// Key for `aws:kms`; none is the account's own for S3.
        kms_key_id: Option<String> = None,
        /// Seconds that a request to the bucket may take with its repetitions.
        timeout_seconds: u64 = 20,
        /// Attempts of a request to the bucket.
        max_attempts: u32 = 5,
    }
);

impl ObjectsConfig {
    /// The bucket and the prefix of its keys, where objects are in one.
    #[must_use]
    pub fn bucket(&self) -> Option<(&str, &str)> {
        let place = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        Some((bucket, prefix.trim_matches('/')))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.bucket() {
            Some(_) if cfg!(not(feature = "aws")) => not_compiled("objects.url", "s3://")?,
            Some((bucket, _)) if !is_bucket_name(bucket) => not_allowed(
                "objects.url",
                "must be s3://BUCKET or s3://BUCKET/PREFIX; a bucket has 3 to 63 lower-case letters, digits, dots and hyphens",
            )?,
            Some(_) => {}
            None => match self.url.strip_prefix("file://") {
                Some("") => not_allowed("objects.url", "names no path after file://")?,
                Some(_) => {}
                None => not_allowed("objects.url", "must begin with file:// or s3://")?,
            },
        }
        if let Some(endpoint) = &self.endpoint
            && !["http://", "https://"]
                .iter()
                .any(|scheme| endpoint.len() > scheme.len() && endpoint.starts_with(scheme))
        {
            not_allowed("objects.endpoint", "must be an address such as https://s3.example.org")?;
        }
        if self.kms_key_id.is_some() && self.server_side_encryption != ObjectsEncryption::Kms {
            not_allowed("objects.kms_key_id", "needs objects.server_side_encryption = \"aws:kms\"")?;
        }
        Ok(())
    }
}

/// The rules of Amazon S3, which compatible servers share.
fn is_bucket_name(name: &str) -> bool {
    let ends_well = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| ends_well(c) || c == '.' || c == '-')
        && name.starts_with(ends_well)
        && name.ends_with(ends_well)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_bucket_and_a_prefix() {
        let config = |url: &str| ObjectsConfig { url: url.to_owned(), ..ObjectsConfig::default() };
        assert_eq!(config("s3://clinic-1/a/b/").bucket(), Some(("clinic-1", "a/b")));
        assert_eq!(config("s3://clinic-1").bucket(), Some(("clinic-1", "")));
        assert_eq!(config("file:///x").bucket(), None);
        for url in
            ["s3://", "s3://ab", "s3://Clinic", "s3://a..b", "s3://-abc", "s3://10.0.0.1/x", "ftp://x", "file://"]
        {
            assert!(config(url).check().is_err(), "{url}");
        }
        assert_eq!(config("s3://clinic-1/x").check().is_ok(), cfg!(feature = "aws"));
    }
}
