//! Several order commands back to back, through one door (BATCH).

use super::{Exchange, admission::Door};
use crate::{
    command::{Batch, BatchItem, BatchPolicy, Cancel, Place, Replace},
    event::{BatchDone, Event, OrderEventKind},
    ids::{AccountId, SessionId},
    limits,
    reason::{Field, Problem, Reason},
};

/// How an item fared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    Rejected,
    Skipped,
}

impl Exchange {
    /// Runs the items of a batch in order.
    pub(super) fn batch(&mut self, batch: &Batch, out: &mut Vec<Event>) {
        if matches!(self.enter(&batch.origin, out), Door::Shut) {
            return;
        }
        let origin = &batch.origin;
        if let Err(problem) = self.check_deadline(origin) {
            return self.refuse(origin, problem, out);
        }
        if !(1..=limits::BATCH_ITEMS).contains(&batch.items.len()) {
            return self.refuse(
                origin,
                too_many(limits::BATCH_ITEMS, batch.items.len()),
                out,
            );
        }
        let own = |item: &BatchItem| match *item {
            BatchItem::Place(place) => BatchItem::Place(Place {
                origin: *origin,
                ..place
            }),
            BatchItem::Replace(replace) => BatchItem::Replace(Replace {
                origin: *origin,
                ..replace
            }),
            BatchItem::Cancel(cancel) => BatchItem::Cancel(Cancel {
                origin: *origin,
                ..cancel
            }),
        };
        let mut fates = [0_u16; 3];
        let all_or_none = batch.policy == BatchPolicy::AllOrNoneValidate;
        // Judged before anything is told, so that every item sees the state before the batch.
        let refused: u64 = batch
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| all_or_none && !self.item_passes(&own(item)))
            .fold(0, |set, (index, _)| set | 1 << index);
        let mut stopped = false;
        for (index, item) in batch.items.iter().enumerate() {
            let item = own(item);
            let number = u16::try_from(index).unwrap_or(u16::MAX);
            self.step = Some((number, origin.account, origin.session));
            let fate = if refused != 0 {
                self.decline(&item, refused & (1 << index) != 0, out)
            } else if stopped {
                self.decline(&item, false, out)
            } else if self.run_item(&item, out) {
                Fate::Accepted
            } else {
                stopped = batch.policy == BatchPolicy::StopOnReject;
                Fate::Rejected
            };
            fates[fate as usize] += 1;
        }
        self.step = None;
        let to = self.address(origin.account, origin.session, origin.client_seq);
        out.push(Event::BatchDone(BatchDone {
            to,
            accepted: fates[Fate::Accepted as usize],
            rejected: fates[Fate::Rejected as usize],
            not_attempted: fates[Fate::Skipped as usize],
        }));
    }

    fn run_item(&mut self, item: &BatchItem, out: &mut Vec<Event>) -> bool {
        match item {
            BatchItem::Place(place) => self.place_inside(place, out),
            BatchItem::Replace(replace) => self.replace_inside(replace, out),
            BatchItem::Cancel(cancel) => self.cancel_inside(cancel, out),
        }
    }

    /// Ranks 3 to 17, without doing anything.
    fn item_passes(&self, item: &BatchItem) -> bool {
        self.judge_item(item).is_ok()
    }

    /// `None` = the refusal is a repeated one.
    fn judge_item(&self, item: &BatchItem) -> Result<(), Option<Problem>> {
        match item {
            BatchItem::Place(place) => {
                if place.order.client_order_id == 0 {
                    let reason = Reason::InvalidField;
                    return Err(Some(Problem::about(reason, Field::ClientOrderId)));
                }
                let (used, first) = self.first_use(place);
                match first {
                    None => self.admit(place).map(|_| ()).map_err(Some),
                    Some(first) if first.content == used.content => {
                        first.refused.map_or(Ok(()), |_| Err(None))
                    }
                    Some(_) => {
                        let reason = Reason::DuplicateClientOrderId;
                        Err(Some(Problem::about(reason, Field::ClientOrderId)))
                    }
                }
            }
            BatchItem::Replace(replace) => self.decide_replace(replace).map(|_| ()).map_err(Some),
            BatchItem::Cancel(cancel) => self
                .find(cancel.origin.account, cancel.target, cancel.instrument)
                .and_then(|order| self.check_cancel(self.contract(order.terms.instrument)))
                .map_err(Some),
        }
    }

    /// Answers an item that does not run: with its own refusal, or because of another item's.
    fn decline(&mut self, item: &BatchItem, refused: bool, out: &mut Vec<Event>) -> Fate {
        // Declining changes nothing that is judged, so the second judgement is the first one.
        let judged = if refused {
            self.judge_item(item)
        } else {
            Err(Some(Problem::new(Reason::BatchStopped)))
        };
        match (item, judged.err().flatten()) {
            (BatchItem::Place(place), Some(problem)) => self.reject(place, problem, None, out),
            (BatchItem::Place(place), None) => {
                if let Some(first) = self.first_use(place).1.copied() {
                    self.repeat(place, &first, out);
                }
            }
            (BatchItem::Replace(replace), problem) => {
                let kind = OrderEventKind::ReplaceRejected;
                let problem = problem.unwrap_or(Problem::new(Reason::BatchStopped));
                self.refuse_target(&replace.origin, replace.target, kind, problem, out);
            }
            (BatchItem::Cancel(cancel), problem) => {
                let kind = OrderEventKind::CancelRejected;
                let problem = problem.unwrap_or(Problem::new(Reason::BatchStopped));
                self.refuse_target(&cancel.origin, cancel.target, kind, problem, out);
            }
        }
        if refused {
            Fate::Rejected
        } else {
            Fate::Skipped
        }
    }

    /// Item of the present batch, for an event that is told to the batch's sender because of it.
    pub(super) fn item_for(&self, account: AccountId, session: SessionId, client_seq: u64) -> u16 {
        let Some((item, sender, through)) = self.step else {
            return 0;
        };
        let caused = if through.is_set() {
            client_seq != 0
        } else {
            account == sender
        };
        if session == through && caused {
            item
        } else {
            0
        }
    }
}

/// More items than fit, or none.
pub(super) fn too_many(limit: usize, actual: usize) -> Problem {
    let wide = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    Problem::limit(
        Reason::TooManyItems,
        Field::Items,
        wide(limit),
        wide(actual),
    )
}
