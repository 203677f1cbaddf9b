//! Stores a response's body in its file.

use std::rc::Rc;

use bgfetch::Handover;
use bgfetch_deno::BodyResource;
use deno_core::{Resource, ResourceId, ResourceTable};
use deno_error::JsErrorBox;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;

use super::bodies::BodyFile;
use super::exception::thrown;
use super::{CacheError, CacheStore};

/// How many bytes of a body are taken from the script at once, at most.
const CHUNK: usize = 64 << 10;

/// A response's body that was not read yet. Dropping it cancels the script's stream.
pub(super) struct Body {
    resource: Rc<dyn Resource>,
    /// The same resource, if it is a [`BodyResource`], which may be the body of a background fetch
    /// record.
    record: Option<Rc<BodyResource>>,
}

impl Drop for Body {
    fn drop(&mut self) {
        Rc::clone(&self.resource).close();
    }
}

impl Body {
    /// Takes the body out of a realm's table.
    pub(super) fn take(table: &mut ResourceTable, body: ResourceId) -> Result<Self, JsErrorBox> {
        let record = table.get(body).ok();
        let resource = table.take_any(body).map_err(JsErrorBox::from_err)?;
        Ok(Self { resource, record })
    }

    /// Stores the whole body in a new file, as fast as it arrives. Returns its length in bytes.
    pub(super) async fn store(self, store: &CacheStore) -> Result<(BodyFile, u64), JsErrorBox> {
        let file = BodyFile::new(store);
        // The file of a record's body gets another hard link once the body is complete. The link
        // outlives the background fetch.
        let taken_over = match &self.record {
            Some(record) => Rc::clone(record).export(&file.path(), Handover::Link).await,
            None => None,
        };
        if let Some(Err(error)) = &taken_over {
            // Reading the body does the same, or fails with the reason.
            tracing::debug!(%error, "a record's body is copied into a cache");
        }
        if !matches!(taken_over, Some(Ok(()))) {
            self.copy(&file).await?;
        }
        let synced = file.clone();
        let length = spawn_blocking(move || synced.sync()).await;
        let length = length.map_err(|error| JsErrorBox::generic(error.to_string()))?;
        let length = length.map_err(|error| thrown(CacheError::file(file.path(), error)))?;
        Ok((file, length))
    }

    async fn copy(&self, file: &BodyFile) -> Result<(), JsErrorBox> {
        let failed = |error| thrown(CacheError::file(file.path(), error));
        let path = file.path();
        let created = spawn_blocking(move || bgfetch::create_private_file(&path)).await;
        let created = created.map_err(|error| JsErrorBox::generic(error.to_string()))?;
        let mut file = File::from_std(created.map_err(failed)?);
        loop {
            let chunk = Rc::clone(&self.resource).read(CHUNK).await?;
            if chunk.is_empty() {
                return file.flush().await.map_err(failed);
            }
            file.write_all(&chunk).await.map_err(failed)?;
        }
    }
}
