//! Answering for the store that this process owns.

use std::io;
use std::path::Path;

use bgfetch::Ui;

/// Listens until it is dropped, which removes the socket. To be dropped before the store is let
/// go: whoever opens it next binds a socket of its own there.
#[cfg(unix)]
pub(crate) struct Server {
    path: super::socket::SocketPath,
    accepting: tokio::task::AbortHandle,
}

#[cfg(unix)]
impl Server {
    /// Starts to listen. To be called by the owner of the store only, who alone may conclude that a
    /// socket that is there was left behind.
    ///
    /// # Errors
    ///
    /// The socket cannot be bound.
    pub(crate) fn start(directory: &Path, ui: Ui) -> io::Result<Self> {
        let path = super::socket::SocketPath::new(directory)?;
        match std::fs::remove_file(path.as_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(path.as_path())?;
        let accepting = tokio::spawn(connection::accept(listener, ui)).abort_handle();
        Ok(Self { path, accepting })
    }
}

#[cfg(unix)]
impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        // One that stays behind is removed by the next owner.
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

    /// The longest request in bytes.
    const MAX_REQUEST: u64 = 64 << 10;
    /// How long a client may take for one exchange.
    const EXCHANGE_WITHIN: Duration = Duration::from_secs(5);

    pub(super) async fn accept(listener: UnixListener, ui: Ui) {
        // An error of the listener itself ends the live control, not the download.
        while let Ok((stream, _)) = listener.accept().await {
            let ui = ui.clone();
            tokio::spawn(async move {
                // A client that went away or dawdles has no claim to an answer.
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
