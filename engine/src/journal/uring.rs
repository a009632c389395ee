//! The same three verbs through io_uring. The only file that knows tokio-uring.
//!
//! tokio-uring submits only when its runtime parks, so each verb runs the runtime until its one
//! operation has answered; nothing is ever left in flight, dropped or timed out.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio_uring::Runtime;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

use super::buffer::Buffer;
use super::io::{JournalIo, no_segment, whole};
use super::stats::Backend;

/// `O_DIRECT`, which the standard library does not name; its value depends on the processor.
/// 0 where it is not known: then writes go through the page cache and stay correct.
const O_DIRECT: i32 = if cfg!(any(target_arch = "x86_64", target_arch = "riscv64")) {
    0x4000
} else if cfg!(target_arch = "aarch64") {
    0x1_0000
} else {
    0
};

/// One runtime and at most one operation in it.
pub struct UringIo {
    // Before the runtime, so that the file is closed first.
    file: Option<File>,
    runtime: Runtime,
}

impl UringIo {
    /// Fails where the kernel or the container forbids io_uring; never panics.
    ///
    /// # Errors
    /// What the system answered.
    pub fn new() -> io::Result<Self> {
        let runtime = Runtime::new(&tokio_uring::builder())?;
        Ok(Self {
            file: None,
            runtime,
        })
    }
}

impl JournalIo for UringIo {
    fn backend(&self) -> Backend {
        Backend::Uring
    }

    fn next_segment(&mut self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true);
        let file = match options.clone().custom_flags(O_DIRECT).open(path) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                tracing::info!(segment = %path.display(), "no direct writes on this file system");
                options.open(path)?
            }
            other => other?,
        };
        self.file = Some(File::from_std(file));
        Ok(())
    }

    fn write(&mut self, block: Buffer, offset: u64) -> (io::Result<()>, Buffer) {
        let Some(file) = self.file.as_ref() else {
            return (Err(no_segment()), block);
        };
        let asked = block.block().len();
        let (bytes, start) = block.into_parts();
        let (done, bytes) = self.runtime.block_on(async {
            let (done, bytes) = file.write_at(bytes.slice(start..), offset).submit().await;
            (done, bytes.into_inner())
        });
        let done = done.and_then(|written| whole(written, asked));
        (done, Buffer::from_parts(bytes, start))
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.file.as_ref().ok_or_else(no_segment)?;
        self.runtime.block_on(file.sync_data())
    }
}

impl std::fmt::Debug for UringIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UringIo")
            .field("open", &self.file.is_some())
            .finish()
    }
}
