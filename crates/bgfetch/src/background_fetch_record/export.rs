//! Stored bodies as files outside of the store.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bgfetch_model::ids::BodyKey;
use bgfetch_store::{Bodies, BodyReader, Handover, StoreError, open_own_file};

use super::RecordError;
use super::response::CHUNK;
use crate::blocking::Blocking;

/// Exports the finished body, which has `length` bytes, to a file.
pub(super) async fn export(
    blocking: &Blocking,
    bodies: &Arc<dyn Bodies>,
    (key, length): (BodyKey, u64),
    to: &Path,
    how: Handover,
) -> Result<(), RecordError> {
    let (bodies, to) = (Arc::clone(bodies), to.to_owned());
    let export = blocking.run(move || bodies.export(key, length, &to, how));
    export.await.map_err(|_| RecordError::Aborted)?.map_err(RecordError::Store)
}

/// Whether the file at `path` has exactly the first `length` bytes of `body`.
pub(super) fn same_bytes(
    body: &dyn BodyReader,
    length: u64,
    path: &Path,
) -> Result<bool, StoreError> {
    let failed = |error| StoreError::io(path, error);
    // Another user could have made a file with these bytes, and change it later.
    let mut file = match open_own_file(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.len() != length {
        return Ok(false);
    }
    let mut stored = vec![0; CHUNK as usize];
    let mut found = stored.clone();
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX).min(stored.len());
        let read = body.read_at(offset, stored.get_mut(..wanted).unwrap_or_default())?;
        let (Some(stored), Some(found)) = (stored.get(..read), found.get_mut(..read)) else {
            return Ok(false);
        };
        match io::Read::read_exact(&mut file, found) {
            // The body file became shorter in the meantime.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read.map_err(failed)?,
        }
        if read == 0 || stored != found {
            return Ok(false);
        }
        offset += read as u64;
    }
    Ok(true)
}
