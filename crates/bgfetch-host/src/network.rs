//! The only access to the network: pages, scripts and `fetch()` use the same [`Fetcher`] as
//! background fetches, with its DNS, root certificates and limits.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    FetchError, FetchRequest, FetchResponse, Fetcher, Principal, Request, ResponseHead, StorageKey,
};
use futures_util::TryStreamExt;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// The network of a user agent. Clones refer to the same network.
#[derive(Clone)]
pub struct Network {
    fetcher: Arc<dyn Fetcher>,
    runtime: Handle,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

/// How long loading a page or a script may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The maximum size of a page or a script.
pub(crate) const SIZE_LIMIT: usize = 64 << 20;

/// Why a page or a script was not loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The network failed, or a rule of the web platform forbids the load.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server did not send the whole response in time.
    #[error("it did not load within {} s", TIME_LIMIT.as_secs())]
    TimedOut,
    /// The response is larger than the limit.
    #[error("it is larger than {} MiB", SIZE_LIMIT >> 20)]
    TooLarge,
    /// The server answered with an error status.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// A frame's page has another origin than the page. Such frames are not supported, because they
    /// would need partitioned storage.
    #[error("frames of other origins are not supported")]
    OtherOrigin,
    /// It would have to run in a sandbox.
    #[error("its content security policy has the directive sandbox, which is not supported")]
    Sandboxed,
    /// It has the wrong MIME type.
    #[error("its MIME type is {0:?}")]
    MimeType(String),
}

/// A complete response.
pub(crate) struct Loaded {
    pub(crate) head: ResponseHead,
    pub(crate) body: Vec<u8>,
    /// The address that it came from, if it came from the network.
    pub(crate) address: Option<IpAddr>,
}

impl Network {
    /// Call it in the runtime that connections run on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(fetcher: Arc<dyn Fetcher>) -> Self {
        Self { fetcher, runtime: Handle::current() }
    }

    /// Fetches a whole response with an ok status.
    pub(crate) async fn load(&self, request: FetchRequest) -> Result<Loaded, LoadError> {
        let load = async {
            let FetchResponse { head, mut body, address, .. } = self.fetch(request).await?;
            if !head.is_ok() {
                return Err(LoadError::Status(head.status));
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = body.try_next().await? {
                if bytes.len() + chunk.len() > SIZE_LIMIT {
                    return Err(LoadError::TooLarge);
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Loaded { head, body: bytes, address })
        };
        tokio::time::timeout(TIME_LIMIT, load).await.map_err(|_| LoadError::TimedOut)?
    }
}

/// A connection is served by a task of the runtime in which its first fetch ran, and is pooled for
/// later fetches. That runtime must be neither that of a realm nor that of an engine, because those
/// end earlier.
impl Fetcher for Network {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let fetching = self.runtime.spawn(self.fetcher.fetch(request));
        let fetching = AbortOnDropHandle::new(fetching);
        Box::pin(async move {
            let ended = |error| FetchError::new(bgfetch::FaultKind::Interrupted, true, error);
            fetching.await.map_err(ended)?
        })
    }

    fn network_changed(&self) {
        self.fetcher.network_changed();
    }
}

/// The fetch of a request without a body.
pub(crate) fn to_fetch(
    storage_key: StorageKey,
    principal: Principal,
    request: Request,
) -> FetchRequest {
    FetchRequest::new(storage_key, Arc::new(principal), Arc::new(request), Default::default(), None)
}
