//! BATCH: several order commands back to back.

use engine::{
    command::{Batch, BatchItem, BatchPolicy, Cancel, Place, Replace},
    event::OrderEventKind,
    limits,
    reason::Reason,
};

use super::{Model, Names, orders::Answer};
use crate::rows::Told;

impl Model {
    /// BATCH-01.
    pub(super) fn batch(&mut self, batch: &Batch, names: &Names) {
        if !self.enter(&batch.origin) {
            return;
        }
        if !self.in_time(&batch.origin) {
            return self.refuse_numbered(Reason::DeadlinePassed);
        }
        if !(1..=limits::BATCH_ITEMS).contains(&batch.items.len()) {
            return self.refuse_numbered(Reason::TooManyItems);
        }
        let items: Vec<BatchItem> = batch.items.iter().map(|item| owned(item, batch)).collect();
        let mut counts = [0; 3];
        if batch.policy == BatchPolicy::AllOrNoneValidate {
            let judged: Vec<_> = items.iter().map(|item| self.judge(item, names)).collect();
            if judged.iter().any(|verdict| verdict.is_err()) {
                for (number, (item, verdict)) in (0..).zip(items.iter().zip(judged)) {
                    self.cause.item = number;
                    let (reason, repeated) = verdict.err().unwrap_or((Reason::BatchStopped, false));
                    counts[if verdict.is_err() { 1 } else { 2 }] += 1;
                    self.refuse_item(item, reason, repeated, names);
                }
                return self.batch_done(counts);
            }
        }
        let mut stopped = false;
        for (number, item) in (0..).zip(&items) {
            (self.cause.item, self.cause.subject) = (number, None);
            if stopped {
                counts[2] += 1;
                self.refuse_item(item, Reason::BatchStopped, false, names);
                continue;
            }
            let accepted = match item {
                BatchItem::Place(place) => self.enter_order(place),
                BatchItem::Replace(replace) => self.replace_order(replace, names),
                BatchItem::Cancel(cancel) => self.cancel_order(cancel, names),
            };
            counts[usize::from(!accepted)] += 1;
            stopped = !accepted && batch.policy == BatchPolicy::StopOnReject;
        }
        self.batch_done(counts);
    }

    fn batch_done(&mut self, counts: [u16; 3]) {
        (self.cause.item, self.cause.subject) = (0, None);
        let heard = self.heard();
        self.seen.told.push(Told::Batch(heard, counts));
    }

    /// BATCH-03: ranks 3 to 17 without carrying it out; whether a refusal is a repeated one.
    fn judge(&self, item: &BatchItem, names: &Names) -> Result<(), (Reason, bool)> {
        let fresh = |reason| (reason, false);
        match item {
            BatchItem::Place(place) => match self.used_before(place) {
                Some(Answer::Refused(reason)) => Err(fresh(reason)),
                Some(Answer::Repeated(Some(reason))) => Err((reason, true)),
                Some(Answer::Repeated(None)) => Ok(()),
                None => self.admit_place(place).map(|_| ()).map_err(fresh),
            },
            BatchItem::Replace(replace) => self.judge_replace(replace, names).map_err(fresh),
            BatchItem::Cancel(cancel) => {
                self.judge_cancel(cancel, names).map(|_| ()).map_err(fresh)
            }
        }
    }

    fn refuse_item(&mut self, item: &BatchItem, reason: Reason, repeated: bool, names: &Names) {
        match item {
            BatchItem::Place(place) => self.tell_rejected(place, reason, repeated),
            BatchItem::Replace(replace) => {
                let found = self.find_replaced(replace, names);
                let kind = OrderEventKind::ReplaceRejected;
                self.tell_refused_change(kind, reason, replace.target, found);
            }
            BatchItem::Cancel(cancel) => {
                let found = self.find_cancelled(cancel, names);
                let kind = OrderEventKind::CancelRejected;
                self.tell_refused_change(kind, reason, cancel.target, found);
            }
        }
    }
}

/// The batch's origin is everybody's.
fn owned(item: &BatchItem, batch: &Batch) -> BatchItem {
    let origin = batch.origin;
    match *item {
        BatchItem::Place(place) => BatchItem::Place(Place { origin, ..place }),
        BatchItem::Replace(replace) => BatchItem::Replace(Replace { origin, ..replace }),
        BatchItem::Cancel(cancel) => BatchItem::Cancel(Cancel { origin, ..cancel }),
    }
}
