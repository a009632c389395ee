//! The write path through io_uring. The only file that knows tokio-uring.
//!
//! tokio-uring submits only when its runtime parks, so a write is pushed out by parking once without
//! waiting ([`ParkOnce`]). Operations run as tasks that hand their results over; none is ever dropped or
//! timed out, since the kernel would go on with the memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_uring::Runtime;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

use super::buffer::Buffer;
use super::inbox::Door;
use super::io::{Done, JournalIo, Waker, Woken, no_segment, whole};
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

/// What operations have answered, and the bell that a finished one and a push ring.
#[derive(Default)]
struct Answers {
    done: RefCell<VecDeque<Done>>,
    bell: Arc<Notify>,
}

impl Answers {
    fn add(&self, done: Done) {
        self.done.borrow_mut().push_back(done);
        self.bell.notify_one();
    }

    fn take(&self) -> Option<Done> {
        self.done.borrow_mut().pop_front()
    }
}

/// One runtime, one open segment, and what is in flight.
pub struct UringIo {
    // Before the runtime, so that the file is closed first.
    file: Option<Rc<File>>,
    answers: Rc<Answers>,
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
            answers: Rc::default(),
            runtime,
        })
    }

    /// Runs an operation as a task and makes sure that the kernel has it.
    fn begin(&self, operation: impl Future<Output = Done> + 'static) {
        let answers = Rc::clone(&self.answers);
        self.runtime.block_on(async {
            tokio_uring::spawn(async move { answers.add(operation.await) });
            ParkOnce::default().await;
        });
    }
}

impl JournalIo for UringIo {
    fn backend(&self) -> Backend {
        Backend::Uring
    }

    fn waker(&self) -> Waker {
        let bell = Arc::clone(&self.answers.bell);
        Box::new(move || bell.notify_one())
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
        self.file = Some(Rc::new(File::from_std(file)));
        Ok(())
    }

    fn write(&mut self, block_seq: u64, block: Buffer, offset: u64) {
        let Some(file) = self.file.clone() else {
            let result = Err(no_segment());
            return self.answers.add(Done::Write {
                block_seq,
                result,
                block,
            });
        };
        let asked = block.block().len();
        let (bytes, start) = block.into_parts();
        self.begin(async move {
            let (written, bytes) = file.write_at(bytes.slice(start..), offset).submit().await;
            Done::Write {
                block_seq,
                result: written.and_then(|written| whole(written, asked)),
                block: Buffer::from_parts(bytes.into_inner(), start),
            }
        });
    }

    fn sync(&mut self) {
        match self.file.clone() {
            Some(file) => self.begin(async move { Done::Sync(file.sync_data().await) }),
            None => self.answers.add(Done::Sync(Err(no_segment()))),
        }
    }

    fn wait(&mut self, door: Option<&dyn Door>, limit: Option<Duration>) -> Woken {
        let answers = &self.answers;
        self.runtime.block_on(async {
            // Two rounds: the bell may have rung for something that was seen before.
            for last in [false, true] {
                if let Some(done) = answers.take() {
                    return Woken::Done(done);
                }
                if door.is_some_and(Door::arm) {
                    return Woken::Work;
                }
                if last && limit.is_some() {
                    break;
                }
                match limit {
                    // Over before anything rang: looked at once more.
                    Some(limit) => drop(tokio::time::timeout(limit, answers.bell.notified()).await),
                    None => answers.bell.notified().await,
                }
            }
            if let Some(door) = door {
                door.disarm();
            }
            Woken::Idle
        })
    }
}

/// Lets the runtime park once, and so submit, without sleeping: wakes itself from outside, which the
/// runtime finds when it has parked.
#[derive(Default)]
struct ParkOnce {
    parked: bool,
}

impl Future for ParkOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.parked {
            return Poll::Ready(());
        }
        self.parked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl std::fmt::Debug for UringIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UringIo")
            .field("open", &self.file.is_some())
            .finish()
    }
}
