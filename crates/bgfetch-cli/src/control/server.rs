//! Answers requests about the store that this process owns.

use std::io;
use std::path::Path;

use bgfetch::Ui;

/// Listens until it is dropped, which removes the socket. Drop it before closing the store, because
/// the next owner binds its own socket there.
#[cfg(unix)]
pub(crate) struct Server {
    path: super::socket::SocketPath,
    accepting: tokio::task::AbortHandle,
}

#[cfg(unix)]
impl Server {
    /// Starts listening. Only the store's owner may call this, because it treats an existing socket
    /// as left behind by an earlier process.
    ///
    /// # Errors
    ///
    /// The socket cannot be bound.
    pub(crate) fn start(directory: &Path, ui: Ui) -> io::Result<Self> {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;

        let path = super::socket::SocketPath::new(directory)?;
        match std::fs::remove_file(path.as_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(path.as_path())?;
        std::fs::set_permissions(path.as_path(), Permissions::from_mode(0o600))?;
        let accepting = tokio::spawn(connection::accept(listener, ui)).abort_handle();
        Ok(Self { path, accepting })
    }
}

#[cfg(unix)]
impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        // If this fails, the next owner removes it.
        std::fs::remove_file(self.path.as_path()).unwrap_or_default();
    }
}

/// Without Unix domain sockets there is nothing to listen on.
#[cfg(not(unix))]
pub(crate) struct Server;

#[cfg(not(unix))]
impl Server {
    pub(crate) fn start(_: &Path, _: Ui) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(unix)]
mod connection {
    use std::io;
    use std::time::Duration;

    use bgfetch::Ui;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::time::timeout;

    use crate::control::execute;
    use crate::control::protocol::Response;
    use crate::control::socket::is_own;

    /// The longest request in bytes.
    const MAX_REQUEST: u64 = 64 << 10;
    /// How long a client may take for one exchange.
    const EXCHANGE_WITHIN: Duration = Duration::from_secs(5);

    pub(super) async fn accept(listener: UnixListener, ui: Ui) {
        // If the listener fails, only the live control ends, not the download.
        while let Ok((stream, _)) = listener.accept().await {
            // Nobody else can reach the socket, unless the directory was made accessible since.
            if !matches!(is_own(&stream), Ok(true)) {
                continue;
            }
            let ui = ui.clone();
            tokio::spawn(async move {
                // A client that is gone or too slow gets no answer.
                timeout(EXCHANGE_WITHIN, answer(stream, &ui)).await.map(drop).unwrap_or_default();
            });
        }
    }

    async fn answer(mut stream: UnixStream, ui: &Ui) -> io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut request = Vec::new();
        let mut reader = BufReader::new(reader).take(MAX_REQUEST);
        reader.read_until(b'\n', &mut request).await?;
        let response = match serde_json::from_slice(&request) {
            Ok(request) => execute(ui, request, true).await,
            Err(error) => Response::Failed(format!("the request is not understood: {error}")),
        };
        let mut line = serde_json::to_vec(&response)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        writer.shutdown().await
    }
}
