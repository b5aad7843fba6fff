//! The keys of a folder in the order in which a bucket lists them: by their bytes, so that `a.b` comes before `a/b`.

use super::staging::STAGING;
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::{Listed, PAGE, Page};
use std::fs;
use std::io;
use std::path::Path;

/// The first objects whose keys begin with `prefix` and come after `after`.
pub(super) fn page(root: &Path, prefix: &str, after: &str) -> io::Result<Page> {
    let mut walk = Walk { prefix, after, objects: Vec::new() };
    walk.folder(root, "")?;
    let mut objects = walk.objects;
    let more = objects.len() > PAGE;
    objects.truncate(PAGE);
    let next = objects.last().filter(|_| more).map(|last| last.key.clone());
    Ok(Page { objects, next })
}

struct Walk<'a> {
    prefix: &'a str,
    after: &'a str,
    objects: Vec<Listed>,
}

impl Walk<'_> {
    /// Adds the objects below a folder until there is one more than a page holds. `above` is the key of the folder, with
    /// its `/`.
    fn folder(&mut self, path: &Path, above: &str) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // What is no text is no key of ours.
            let Some(name) = name.to_str().filter(|name| !(above.is_empty() && *name == STAGING)) else { continue };
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            let key = format!("{above}{name}{slash}");
            if self.may_hold(&key) {
                keys.push((key, entry.path()));
            }
        }
        keys.sort();
        for (key, path) in keys {
            if self.objects.len() > PAGE {
                break;
            }
            if key.ends_with('/') {
                self.folder(&path, &key)?;
            } else {
                match fs::metadata(&path) {
                    Ok(metadata) => {
                        self.objects.push(Listed { key: ObjectKey::from_row(key), bytes: metadata.len() });
                    }
                    // Deleted since the folder was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether an object, or one below a folder, is asked for.
    fn may_hold(&self, key: &str) -> bool {
        let folder = key.ends_with('/');
        let begins = key.starts_with(self.prefix) || (folder && self.prefix.starts_with(key));
        let follows = key > self.after || (folder && self.after.starts_with(key));
        begins && follows
    }
}
