//! Asks the process that owns a store.

use std::path::Path;

use super::protocol::{Request, Response};
use crate::exit::Failure;

/// Sends a request to the owner of the store in `directory`; returns `None` if nobody is listening.
///
/// # Errors
///
/// The owner was reached but did not answer properly.
#[cfg(unix)]
pub(crate) async fn ask(directory: &Path, request: &Request) -> Result<Option<Response>, Failure> {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixStream;
    use tokio::time::timeout;

    /// The maximum length of a response in bytes: a list of 100 000 files takes about a quarter of
    /// it.
    const MAX_RESPONSE: u64 = 128 << 20;
    /// How long the owner may take to respond.
    const ANSWER_WITHIN: Duration = Duration::from_secs(10);

    let path = super::socket::SocketPath::new(directory)?;
    let Ok(mut stream) = UnixStream::connect(path.as_path()).await else {
        return Ok(None);
    };
    if !super::socket::is_own(&stream)? {
        return Err(Failure("the process that has the store open belongs to another user".into()));
    }
    let exchange = async {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        let mut reader = BufReader::new(stream).take(MAX_RESPONSE);
        reader.read_until(b'\n', &mut answer).await?;
        Ok::<Response, Failure>(serde_json::from_slice(&answer)?)
    };
    match timeout(ANSWER_WITHIN, exchange).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(Failure(reason))) => Err(Failure(format!(
            "the process that has the store open did not send a valid response: {reason}"
        ))),
        Err(_) => Err(Failure("the process that has the store open does not answer".into())),
    }
}

/// Without Unix domain sockets, no process can be asked.
#[cfg(not(unix))]
pub(crate) async fn ask(_: &Path, _: &Request) -> Result<Option<Response>, Failure> {
    Ok(None)
}
