//! Opens the files of a folder, and no others: no symbolic link leads out of it, and files whose
//! names begin with a dot are hidden.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bgfetch::embedder::BoxFuture;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::spawn_blocking;
use tower_http::services::fs::{Backend, File as ServedFile};

/// A folder as the source of [`ServeDir`](tower_http::services::ServeDir).
#[derive(Clone)]
pub(super) struct Beneath(Arc<Path>);

impl Beneath {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder.into())
    }

    async fn opened(self, path: PathBuf) -> io::Result<(File, Metadata)> {
        let opened = spawn_blocking(move || {
            let file = open(&self.0, &visible(&path)?)?;
            let metadata = file.metadata()?;
            // A device or a pipe is not a file to serve.
            if !metadata.is_file() && !metadata.is_dir() {
                return Err(not_found());
            }
            Ok((file, metadata))
        });
        opened.await.map_err(io::Error::other)?
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// The path without `.`, if every part of it may be seen.
fn visible(path: &Path) -> io::Result<PathBuf> {
    let mut visible = PathBuf::from(".");
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if !name.as_encoded_bytes().starts_with(b".") => {
                visible.push(name);
            }
            _ => return Err(not_found()),
        }
    }
    Ok(visible)
}

/// Opens a file or folder. The kernel resolves the path, so no change in between can lead out of
/// the folder.
#[cfg(target_os = "linux")]
fn open(folder: &Path, path: &Path) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
    use rustix::io::Errno;

    let of_folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, folder, of_folder, Mode::empty())?;
    // Opening a pipe must not wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(directory, path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(file.into()),
        // A kernel before 5.6, or a sandbox without this call.
        Err(Errno::NOSYS | Errno::PERM) => open_resolved(folder, path),
        // The path leads out of the folder.
        Err(Errno::XDEV | Errno::LOOP) => Err(not_found()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn open(folder: &Path, path: &Path) -> io::Result<File> {
    open_resolved(folder, path)
}

/// Resolves the path first, and opens it then.
fn open_resolved(folder: &Path, path: &Path) -> io::Result<File> {
    let (folder, path) = (folder.canonicalize()?, folder.join(path).canonicalize()?);
    if !path.starts_with(folder) {
        return Err(not_found());
    }
    // Opening a pipe would wait for its other end.
    let metadata = path.metadata()?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(not_found());
    }
    File::open(path)
}

/// A file of the folder.
pub(super) struct OpenFile {
    file: tokio::fs::File,
    metadata: Metadata,
}

impl Backend for Beneath {
    type File = OpenFile;
    type Metadata = Metadata;
    type OpenFuture = BoxFuture<'static, io::Result<OpenFile>>;
    type MetadataFuture = BoxFuture<'static, io::Result<Metadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let opened = self.clone().opened(path);
        Box::pin(async move {
            let (file, metadata) = opened.await?;
            Ok(OpenFile { file: file.into(), metadata })
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let opened = self.clone().opened(path);
        Box::pin(async move { Ok(opened.await?.1) })
    }
}

impl ServedFile for OpenFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = std::future::Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        std::future::ready(Ok(self.metadata.clone()))
    }
}

impl AsyncRead for OpenFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(cx, buffer)
    }
}

impl AsyncSeek for OpenFile {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(cx)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_visible_files_of_the_folder_are_opened() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("app");
        std::fs::create_dir_all(folder.join("sub/.git")).unwrap();
        for (file, text) in [
            ("secret", "secret"),
            ("app/x", "x"),
            ("app/.env", "hidden"),
            ("app/sub/.git/config", "hidden"),
            ("app/sub/y", "y"),
        ] {
            std::fs::write(place.path().join(file), text).unwrap();
        }
        symlink("x", folder.join("inner")).unwrap();
        symlink("../x", folder.join("sub/up")).unwrap();
        symlink("../secret", folder.join("outer")).unwrap();
        symlink(place.path().join("secret"), folder.join("absolute")).unwrap();
        symlink("/", folder.join("root")).unwrap();
        symlink("..", folder.join("parent")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        symlink("/proc/self/root", folder.join("magic")).unwrap();

        let read = |open: fn(&Path, &Path) -> io::Result<File>, path: &str| {
            let mut text = String::new();
            open(&folder, &visible(Path::new(path)).ok()?).ok()?.read_to_string(&mut text).ok()?;
            Some(text)
        };
        for (path, text) in [
            ("./x", Some("x")),
            ("sub/y", Some("y")),
            ("inner", Some("x")),
            ("sub/up", Some("x")),
            ("missing", None),
            (".env", None),
            ("sub/.git/config", None),
            ("../secret", None),
            ("/etc/passwd", None),
            ("outer", None),
            ("absolute", None),
            ("root/etc/passwd", None),
            ("parent/secret", None),
            ("parent/app/x", None),
            ("loop", None),
            ("magic/etc/passwd", None),
        ] {
            assert_eq!(read(open, path).as_deref(), text, "{path}");
            // Where the kernel cannot resolve it, a path may leave the folder and come back.
            if path != "parent/app/x" {
                assert_eq!(read(open_resolved, path).as_deref(), text, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn a_pipe_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(place.path().join("pipe")).status();
        assert!(made.unwrap().success());
        let folder = Beneath::new(place.path().to_owned());
        for opened in [
            folder.metadata("pipe".into()).await.map(drop),
            Backend::open(&folder, "pipe".into()).await.map(drop),
        ] {
            assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        let resolved = open_resolved(place.path(), Path::new("pipe"));
        assert_eq!(resolved.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
