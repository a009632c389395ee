//! Blocks that count on: by agreement, at depth (INDEX-10).

use super::{Feed, HeaderVote};
use crate::{
    command::{FeedKind, Header, SubmitHeader},
    event::{Address, ChainHeight, Done, Event, Refused},
    exchange::Exchange,
    index::{sha256, work},
    limits,
    reason::{Field, Problem, Reason},
};

impl Exchange {
    pub(in crate::exchange) fn submit_header(&mut self, word: &SubmitHeader, out: &mut Vec<Event>) {
        match self.decide_header(word) {
            Err(problem) => {
                let to = Address::default();
                out.push(Event::Refused(Refused { to, problem }));
            }
            Ok(place) => self.take_header(word, place, out),
        }
    }

    fn decide_header(&self, word: &SubmitHeader) -> Result<usize, Problem> {
        let feed = self.feed(word.feed);
        let feed = feed.ok_or(Problem::about(Reason::NotFound, Field::Feed))?;
        let FeedKind::Chain { depth } = feed.details.kind else {
            return Err(Problem::about(Reason::InvalidField, Field::Feed));
        };
        let place = feed.place_of(&word.public_key)?;
        if word.depth < depth {
            let (limit, actual) = (depth.into(), word.depth.into());
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Depth,
                limit,
                actual,
            ));
        }
        let header = word.header;
        if header.height == 0 || header.height > 1 << 40 || work::of_bits(header.bits).is_none() {
            let actual = i64::try_from(header.height).unwrap_or(i64::MAX);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Height,
                1 << 40,
                actual,
            ));
        }
        let in_force = feed.headers.get(&header.height);
        if in_force.is_some_and(|known| *known != header) {
            return Err(Problem::about(Reason::ObservationConflict, Field::Height));
        }
        // A source says one thing of a height.
        let by = u8::try_from(place).unwrap_or(u8::MAX);
        let elsewhere = feed.votes.iter().any(|vote| {
            vote.header.height == header.height && vote.header != header && vote.by.contains(&by)
        });
        if elsewhere {
            return Err(Problem::about(Reason::ObservationConflict, Field::Height));
        }
        Ok(place)
    }

    fn take_header(&mut self, word: &SubmitHeader, place: usize, out: &mut Vec<Event>) {
        let header = word.header;
        let Some(feed) = self.feed_mut(word.feed) else {
            return;
        };
        let known = feed.headers.contains_key(&header.height);
        let agreeing = feed.vote(header, place);
        let done = Done {
            object: header.height,
            count: agreeing.into(),
            cancelled: 0,
            first_seq: 0,
        };
        if !known && agreeing >= feed.details.agreeing {
            feed.put_in_force(header);
            out.push(Event::ChainHeight(ChainHeight {
                feed: word.feed,
                header,
                agreeing,
            }));
        }
        out.push(Event::Done(done));
    }
}

impl Feed {
    /// Notes a source's word; how many sources with weight agree now.
    fn vote(&mut self, header: Header, place: usize) -> u8 {
        let by = u8::try_from(place).unwrap_or(u8::MAX);
        let at = self.votes.iter().position(|vote| vote.header == header);
        let at = at.unwrap_or_else(|| {
            if self.votes.len() >= limits::HEADERS {
                self.votes.remove(0);
            }
            let by = Vec::new();
            self.votes.push(HeaderVote { header, by });
            self.votes.len() - 1
        });
        let vote = &mut self.votes[at];
        if !vote.by.contains(&by) {
            vote.by.push(by);
        }
        let counts = |by: &&u8| {
            let source = self.sources.get(usize::from(**by));
            source.is_some_and(|source| source.details.active && source.details.weight > 0)
        };
        u8::try_from(vote.by.iter().filter(counts).count()).unwrap_or(u8::MAX)
    }

    /// Keeps it, and lets older ones go: those that begin an epoch stay longer.
    fn put_in_force(&mut self, header: Header) {
        self.headers.insert(header.height, header);
        let begins = |height: &u64| height.is_multiple_of(sha256::RETARGET_BLOCKS);
        for (most, epoch) in [(limits::HEADERS, false), (limits::EPOCH_HEADERS, true)] {
            let of_kind = |height: &&u64| begins(height) == epoch;
            while self.headers.keys().filter(of_kind).count() > most {
                let Some(oldest) = self.headers.keys().find(of_kind).copied() else {
                    return;
                };
                self.headers.remove(&oldest);
            }
        }
    }
}
