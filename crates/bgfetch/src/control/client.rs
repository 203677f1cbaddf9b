//! The client's end of a connection.

use std::fmt;
use std::io;
use std::path::Path;

use super::protocol::{Request, Response};

#[cfg(unix)]
use std::time::Duration;
#[cfg(unix)]
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
#[cfg(unix)]
use tokio::net::UnixStream;

/// The maximum length of a response in bytes: a list of 100 000 files takes about a quarter of it.
#[cfg(unix)]
const MAX_RESPONSE: u64 = 128 << 20;

/// How long the owner may take for its first response.
#[cfg(unix)]
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why the owner of a store could not be asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It belongs to another user, and was sent nothing.
    OtherUser,
    /// It took more than 10 s to answer.
    NoAnswer,
    /// It sent something else than a response.
    Invalid(serde_json::Error),
    /// The socket failed, or the owner closed it before it answered.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invalid = "the process that has the store open did not send a valid response";
        match self {
            Self::OtherUser => {
                f.write_str("the process that has the store open belongs to another user")
            }
            Self::NoAnswer => f.write_str("the process that has the store open does not answer"),
            Self::Invalid(error) => write!(f, "{invalid}: {error}"),
            Self::Io(error) => write!(f, "{invalid}: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::OtherUser | Self::NoAnswer => None,
            Self::Invalid(error) => Some(error),
            Self::Io(error) => Some(error),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A connection to the owner of a store, for one request. It needs a tokio runtime with I/O and time
/// enabled.
#[derive(Debug)]
pub struct Client {
    #[cfg(unix)]
    stream: UnixStream,
    #[cfg(not(unix))]
    nobody: std::convert::Infallible,
}

impl Client {
    /// Connects to the owner of the store in `directory`; `None` if nobody is listening.
    ///
    /// # Errors
    ///
    /// The owner belongs to another user, or the path is too long for a socket.
    #[cfg(unix)]
    pub async fn connect(directory: &Path) -> Result<Option<Self>, Error> {
        let path = super::SocketPath::new(directory)?;
        let Ok(stream) = UnixStream::connect(path.as_path()).await else {
            return Ok(None);
        };
        if !super::is_own(&stream)? {
            return Err(Error::OtherUser);
        }
        Ok(Some(Self { stream }))
    }

    /// Without Unix domain sockets, nobody is listening.
    ///
    /// # Errors
    ///
    /// None.
    #[cfg(not(unix))]
    pub async fn connect(_: &Path) -> Result<Option<Self>, Error> {
        Ok(None)
    }

    /// Sends a request and returns the first response.
    ///
    /// # Errors
    ///
    /// The owner did not answer, or not properly.
    pub async fn ask(self, request: &Request) -> Result<Response, Error> {
        #[cfg(unix)]
        {
            let exchange = async {
                let mut updates = self.follow(request).await?;
                let closed = || Error::Io(io::ErrorKind::UnexpectedEof.into());
                updates.next().await?.ok_or_else(closed)
            };
            tokio::time::timeout(ANSWER_WITHIN, exchange).await.map_err(|_| Error::NoAnswer)?
        }
        #[cfg(not(unix))]
        match self.nobody {}
    }

    /// Sends a request and returns the responses to it.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub async fn follow(self, request: &Request) -> Result<Updates, Error> {
        #[cfg(unix)]
        {
            let Self { mut stream } = self;
            let mut line = request.to_line()?;
            line.push('\n');
            stream.write_all(line.as_bytes()).await?;
            Ok(Updates { reader: BufReader::new(stream), line: Vec::new() })
        }
        #[cfg(not(unix))]
        match self.nobody {}
    }
}

/// The responses to a request. Dropping it closes the connection, which ends nothing but the reports.
#[derive(Debug)]
pub struct Updates {
    #[cfg(unix)]
    reader: BufReader<UnixStream>,
    /// The part of a response that was read before the future was dropped.
    #[cfg(unix)]
    line: Vec<u8>,
    #[cfg(not(unix))]
    nobody: std::convert::Infallible,
}

impl Updates {
    /// The next response, or `None` when the owner has closed the connection or has died. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    ///
    /// The connection failed, or the owner sent something else than a response.
    pub async fn next(&mut self) -> Result<Option<Response>, Error> {
        #[cfg(unix)]
        {
            let left = MAX_RESPONSE.saturating_sub(self.line.len() as u64);
            (&mut self.reader).take(left).read_until(b'\n', &mut self.line).await?;
            let line = std::mem::take(&mut self.line);
            // An owner that died may have sent a part of a line.
            if line.last() != Some(&b'\n') && line.len() as u64 != MAX_RESPONSE {
                return Ok(None);
            }
            Ok(Some(serde_json::from_slice(&line)?))
        }
        #[cfg(not(unix))]
        match self.nobody {}
    }
}
