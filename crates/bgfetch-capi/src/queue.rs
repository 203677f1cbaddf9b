//! Queues, each with a file descriptor that an event loop can poll.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use bgfetch_binding::queue::{self, Wake};
use bgfetch_binding::{Code, Error, Handle};

use crate::completion::bgfetch_completion;
use crate::error::bgfetch_error;
use crate::ffi::{bgfetch_handle, contained, out, sized};

/// A pipe that has one byte in it while the queue has completions. Unlike an eventfd, all Unix systems have pipes.
struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Wake for Pipe {
    fn filled(&self) {
        // There is room for a byte, and the pipe is open as long as this is.
        drop((&self.writer).write(&[1]));
    }

    fn emptied(&self) {
        // There is one byte.
        drop((&self.reader).read(&mut [0]));
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.reader.as_raw_fd())
    }
}

/// Opens a queue, which has two threads of its own.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_queue_open(
    queue: Option<&mut bgfetch_handle>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        let queue = out(queue)?;
        let no_pipe = |error: std::io::Error| Error::new(Code::NoResources, error.to_string());
        let (reader, writer) = std::io::pipe().map_err(no_pipe)?;
        *queue = queue::open(Pipe { reader, writer })?.raw();
        Ok(())
    })
}

/// The file descriptor that can be read as long as there are completions: for poll, GLib, libuv and the like. The
/// library reads it, and closes it with the queue. -1 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_queue_fd(queue: bgfetch_handle) -> i32 {
    let mut descriptor = -1;
    let failed = contained(|| {
        descriptor = queue::descriptor(Handle::from_raw(queue))?.unwrap_or(-1);
        Ok(())
    });
    drop(failed);
    descriptor
}

/// The next completion. Waits for it for at most `timeout_ms` milliseconds, or for ever if that is negative. If there is
/// none within this time, its kind is BGFETCH_NONE. What `completion` contained before is cleared first.
///
/// # Safety
///
/// `completion` points to a `bgfetch_completion` that was initialized with BGFETCH_COMPLETION_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_queue_next(
    queue: bgfetch_handle,
    timeout_ms: i64,
    completion: *mut bgfetch_completion,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let completion = unsafe { sized(completion) }?;
        completion.clear();
        let within = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        if let Some(next) = queue::next(Handle::from_raw(queue), within)? {
            completion.set(next);
        }
        Ok(())
    })
}

/// Frees what a completion contains, and says that the host has done with it: the next update of a fetch comes after
/// that. Clearing it again, or before it was used, is fine.
///
/// # Safety
///
/// `completion` is NULL, or points to a `bgfetch_completion` that was initialized with BGFETCH_COMPLETION_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_completion_clear(completion: *mut bgfetch_completion) {
    let failed = contained(|| {
        // SAFETY: the caller promises the same.
        unsafe { sized(completion) }?.clear();
        Ok(())
    });
    // NULL is fine, and with a wrong size there is nothing that could be freed.
    drop(failed);
}

/// Closes a queue with everything that belongs to it. Engines end as in a crash, which loses nothing that is durable;
/// close them before if there is time. All handles are freed. Returns when the stores can be opened again and the
/// threads have ended, or after some seconds if one of them is busy.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_queue_close(queue: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| queue::close(Handle::from_raw(queue)))
}

/// How many handles of the queue there are, with its own: to find leaks. 0 after it was closed.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_queue_handles(queue: bgfetch_handle) -> usize {
    let mut handles = 0;
    let failed = contained(|| {
        handles = bgfetch_binding::count(Handle::from_raw(queue));
        Ok(())
    });
    drop(failed);
    handles
}
