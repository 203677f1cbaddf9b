//! Answers requests about the store that this process owns.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bgfetch::Engine;

use crate::owner::Owner;

/// Listens until it is dropped, which closes all connections and removes the socket. Drop it before
/// closing the store, because the next owner binds its own socket there.
#[cfg(unix)]
pub(crate) struct Server {
    path: bgfetch::control::SocketPath,
    accepting: tokio::task::AbortHandle,
}

#[cfg(unix)]
impl Server {
    /// Starts listening. Only the store's owner may call this, because it treats an existing socket
    /// as left behind by an earlier process. Without an `owner`, no fetches are taken over.
    ///
    /// # Errors
    ///
    /// The socket cannot be bound.
    pub(crate) fn start(
        directory: &Path,
        engine: Engine,
        owner: Option<Arc<Owner>>,
    ) -> io::Result<Self> {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;

        let path = bgfetch::control::SocketPath::new(directory)?;
        match std::fs::remove_file(path.as_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(path.as_path())?;
        std::fs::set_permissions(path.as_path(), Permissions::from_mode(0o600))?;
        let hands = connection::Hands { engine, owner };
        let accepting = tokio::spawn(connection::accept(listener, hands)).abort_handle();
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
    pub(crate) fn start(_: &Path, _: Engine, _: Option<Arc<Owner>>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(unix)]
mod connection {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use bgfetch::Engine;
    use bgfetch::control::{Get, Request, Response, is_own};
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use crate::control::execute;
    use crate::exit::Failure;
    use crate::owner::{Counted, Owner, UPDATES, watch};

    /// The longest request in bytes: as many URLs as one fetch may have.
    const MAX_REQUEST: u64 = 32 << 20;
    /// How long a client may take to send its request.
    const REQUEST_WITHIN: Duration = Duration::from_secs(5);
    /// How long a client may read nothing: one that was stopped must not keep the owner from its end.
    /// When it is continued, it asks again.
    const READ_WITHIN: Duration = Duration::from_secs(30);

    /// What the connections work on.
    #[derive(Clone)]
    pub(super) struct Hands {
        pub(super) engine: Engine,
        pub(super) owner: Option<Arc<Owner>>,
    }

    pub(super) async fn accept(listener: UnixListener, hands: Hands) {
        let mut connections = JoinSet::new();
        // If the listener fails, only the live control ends, not the download.
        while let Ok((stream, _)) = listener.accept().await {
            // Nobody else can reach the socket, unless the directory was made accessible since.
            if !matches!(is_own(&stream), Ok(true)) {
                continue;
            }
            while connections.try_join_next().is_some() {}
            let hands = hands.clone();
            // A client that is gone gets no answer.
            connections.spawn(async move { hands.serve(stream).await.unwrap_or_default() });
        }
    }

    impl Hands {
        async fn serve(self, stream: UnixStream) -> io::Result<()> {
            let (reader, mut writer) = stream.into_split();
            let mut reader = BufReader::new(reader);
            let mut request = Vec::new();
            let mut limited = (&mut reader).take(MAX_REQUEST);
            timeout(REQUEST_WITHIN, limited.read_until(b'\n', &mut request)).await??;
            let (updates, told) = mpsc::channel(UPDATES);
            let response = match Request::from_line(&request) {
                Ok(Request::Get(get)) => match self.get(*get, updates).await {
                    Ok(_attached) => return report(reader, writer, told).await,
                    Err(Failure(message)) => Response::Failed(message),
                },
                Ok(Request::Watch { jobs }) => {
                    let watching = watch(&self.engine, jobs, updates);
                    return tokio::select! {
                        reported = report(reader, writer, told) => reported,
                        _ = watching => Ok(()),
                    };
                }
                Ok(request) => execute(&self.engine.ui(), request).await,
                Err(message) => Response::Failed(message),
            };
            send(&mut writer, &response).await?;
            writer.shutdown().await
        }

        /// Works on a fetch, whether or not the hand that asked for it stays.
        async fn get(&self, get: Get, updates: mpsc::Sender<Response>) -> Result<Counted, Failure> {
            let pid = std::process::id();
            let Some(owner) = &self.owner else {
                return Err(Failure(format!(
                    "the store is used by bgfetch run (process id {pid}), which takes no other \
                     fetches; use another --store, or wait for its end"
                )));
            };
            let attached = owner.attach();
            let accepted = owner.accept(&get).await?;
            tokio::spawn(Arc::clone(owner).follow(accepted, get.jobs, false, updates));
            Ok(attached)
        }
    }

    /// Sends what is told, until there is no more or the client is gone.
    async fn report(
        mut reader: BufReader<OwnedReadHalf>,
        mut writer: OwnedWriteHalf,
        mut told: mpsc::Receiver<Response>,
    ) -> io::Result<()> {
        let mut more = [0];
        loop {
            tokio::select! {
                response = told.recv() => match response {
                    Some(response) => {
                        timeout(READ_WITHIN, send(&mut writer, &response)).await??;
                    }
                    None => return writer.shutdown().await,
                },
                // A connection carries one request, so this is the end of the client.
                _ = reader.read(&mut more) => return Ok(()),
            }
        }
    }

    async fn send(writer: &mut OwnedWriteHalf, response: &Response) -> io::Result<()> {
        let mut line = serde_json::to_vec(response)?;
        line.push(b'\n');
        writer.write_all(&line).await
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test(start_paused = true)]
        async fn a_client_that_reads_nothing_is_given_up() {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (reader, writer) = ours.into_split();
            let (updates, told) = mpsc::channel(UPDATES);
            let telling = async {
                let response = Response::Failed("x".repeat(1 << 16));
                while updates.send(response.clone()).await.is_ok() {}
            };
            let (reported, ()) =
                tokio::join!(report(BufReader::new(reader), writer, told), telling);
            assert_eq!(reported.unwrap_err().kind(), io::ErrorKind::TimedOut);
            drop(theirs);
        }
    }
}
