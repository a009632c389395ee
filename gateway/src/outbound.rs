//! The bounded way out to one client, whose last word is a status.
//!
//! A task puts messages in and waits while the client does not read; nothing else is buffered. When the
//! task ends, the messages already in are still delivered, then its status.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use engine::reason::Reason;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::Stream;
use tonic::Status;

use crate::{desk::Desk, refusal};

/// Messages between a task and its client.
const MESSAGES: usize = 256;

/// The task's end.
#[derive(Debug)]
pub struct Outbound<T> {
    items: mpsc::Sender<(T, usize)>,
    last: oneshot::Sender<Status>,
    queued: Arc<AtomicUsize>,
    draining: watch::Receiver<bool>,
}

/// The client's end: what gRPC reads. `dress` makes a message of the wire, at the moment it leaves.
#[derive(Debug)]
pub struct Outgoing<T, W> {
    items: mpsc::Receiver<(T, usize)>,
    last: Option<oneshot::Receiver<Status>>,
    queued: Arc<AtomicUsize>,
    dress: fn(T) -> W,
}

/// Why a stream is over.
#[derive(Debug)]
pub enum Over {
    /// The client does not listen any more.
    Gone,
    /// We end it, and say why.
    Because(Status),
}

impl From<Status> for Over {
    fn from(status: Status) -> Self {
        Self::Because(status)
    }
}

/// Both ends.
pub fn pipe<T, W>(desk: &Desk, dress: fn(T) -> W) -> (Outbound<T>, Outgoing<T, W>) {
    let (items_in, items) = mpsc::channel(MESSAGES);
    let (last_in, last) = oneshot::channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let outbound = Outbound {
        items: items_in,
        last: last_in,
        queued: queued.clone(),
        draining: desk.draining.clone(),
    };
    let outgoing = Outgoing {
        items,
        last: Some(last),
        queued,
        dress,
    };
    (outbound, outgoing)
}

impl<T> Outbound<T> {
    /// Hands a message over, waiting while the client does not read. `bytes` is its size, for
    /// [`Self::queued_bytes`].
    ///
    /// # Errors
    /// The client went away, or the server drains.
    pub async fn send(&self, item: T, bytes: usize) -> Result<(), Over> {
        let room = tokio::select! {
            biased;
            over = self.drained() => return Err(over),
            room = self.items.reserve() => room.map_err(|_| Over::Gone)?,
        };
        self.queued.fetch_add(bytes, Ordering::Relaxed);
        room.send((item, bytes));
        Ok(())
    }

    /// Bytes that wait for the client here.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Waits until the server drains.
    pub async fn drained(&self) -> Over {
        let mut draining = self.draining.clone();
        // An owner that went away is a server that stops.
        drop(draining.wait_for(|drains| *drains).await);
        Over::Because(refusal::no(Reason::ServerDraining))
    }

    /// Waits until the client is gone.
    pub async fn gone(&self) -> Over {
        self.items.closed().await;
        Over::Gone
    }

    /// The last word, after everything sent before.
    pub fn end(self, over: Over) {
        if let Over::Because(status) = over {
            // Nobody may be left to hear it.
            drop(self.last.send(status));
        }
    }
}

impl<T, W> Stream for Outgoing<T, W> {
    type Item = Result<W, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((item, bytes)) = std::task::ready!(self.items.poll_recv(context)) {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            return Poll::Ready(Some(Ok((self.dress)(item))));
        }
        let Some(last) = self.last.as_mut() else {
            return Poll::Ready(None);
        };
        let status = std::task::ready!(Pin::new(last).poll(context));
        self.last = None;
        // A task that ended without a word has failed; a clean end would pass for the whole answer.
        let status = status.unwrap_or_else(|_| Status::internal("the stream broke off"));
        Poll::Ready(Some(Err(status)))
    }
}
