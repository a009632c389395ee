//! The write path through io_uring. The only file that knows tokio-uring.
//!
//! tokio-uring submits only when its runtime parks: the journal thread does so when it waits, and where it
//! goes on packing it parks on a [`Knock`] of its own, which does not wait. Operations run as tasks that hand their results over; none is ever dropped or
//! timed out, since the kernel would go on with the memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream as Outside;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_uring::Runtime;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

use super::buffer::Buffer;
use super::disk::open_direct;
use super::inbox::Door;
use super::io::{Done, JournalIo, Waker, Woken, no_segment, whole};
use super::stats::Backend;

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
    knock: Knock,
    runtime: Runtime,
}

impl UringIo {
    /// Fails where the kernel or the container forbids io_uring; never panics.
    ///
    /// # Errors
    /// What the system answered.
    pub fn new() -> io::Result<Self> {
        let runtime = Runtime::new(&tokio_uring::builder())?;
        let knock = runtime.block_on(async { Knock::new() })?;
        Ok(Self {
            file: None,
            answers: Rc::default(),
            knock,
            runtime,
        })
    }

    /// Makes a task of an operation and has it queued; the kernel gets it when the runtime parks.
    fn begin(&self, operation: impl Future<Output = Done> + 'static) {
        let answers = Rc::clone(&self.answers);
        self.runtime.block_on(async {
            tokio_uring::spawn(async move { answers.add(operation.await) });
            Once::default().await;
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
        let file = open_direct(OpenOptions::new().write(true), path)?;
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

    fn answered(&mut self) -> Option<Done> {
        if let Err(error) = self.runtime.block_on(self.knock.park()) {
            return Some(Done::Sync(Err(error)));
        }
        self.answers.take()
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

/// Lets the runtime run its tasks once. It does not park for that: nothing is submitted.
#[derive(Default)]
struct Once {
    over: bool,
}

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.over {
            return Poll::Ready(());
        }
        self.over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A knock at one's own door: what waits for it parks, as a future that wakes itself does not, and is woken
/// at once.
struct Knock {
    outside: Outside,
    inside: UnixStream,
}

impl Knock {
    /// Inside the runtime.
    fn new() -> io::Result<Self> {
        let (outside, inside) = Outside::pair()?;
        inside.set_nonblocking(true)?;
        let inside = UnixStream::from_std(inside)?;
        Ok(Self { outside, inside })
    }

    /// Parks once: what was begun goes to the kernel, what has answered is taken in.
    async fn park(&self) -> io::Result<()> {
        (&self.outside).write_all(&[0])?;
        self.inside.readable().await?;
        self.inside.try_read(&mut [0])?;
        // It is empty now, which tokio believes only when it is told so.
        let empty = || Err::<(), _>(ErrorKind::WouldBlock.into());
        self.inside
            .try_io(Interest::READABLE, empty)
            .unwrap_or_default();
        Ok(())
    }
}

impl std::fmt::Debug for UringIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UringIo")
            .field("open", &self.file.is_some())
            .finish()
    }
}
