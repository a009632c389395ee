//! Where hashes go: destinations of buyers, and which obligation uses which (DELIVERY-06).

use super::{Exchange, Nanos, ObligationId, statistics, tell};
use crate::{
    command::{AssignDestination, SetDestination},
    delivery::Destination,
    event::{DeliveryEvent, Event},
    exchange::admin::{Outcome, check_name, made},
    ids::{CommodityId, DestinationId},
    limits,
    reason::{Field, Problem, Reason},
};

impl Exchange {
    pub(super) fn set_destination(
        &mut self,
        set: &SetDestination,
        out: &mut Vec<Event>,
    ) -> Outcome {
        let account = self.account(set.account);
        account.ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        let known = |commodity: CommodityId| {
            commodity
                .index()
                .is_some_and(|at| at < self.commodities.len())
        };
        if !known(set.commodity) {
            return Err(Problem::about(Reason::NotFound, Field::Commodity));
        }
        check_name(&set.label, Field::Name)?;
        check_address(&set.address)?;
        check_worker(&set.worker)?;
        if set.share_difficulty < 0 {
            let actual = set.share_difficulty;
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Destination,
                0,
                actual,
            ));
        }
        let not_found = Problem::about(Reason::NotFound, Field::Destination);
        let place = match set.id.index() {
            Some(at) => {
                let row = self.deliveries.destinations.get(at).ok_or(not_found)?;
                if row.account != set.account {
                    return Err(not_found);
                }
                if row.commodity != set.commodity {
                    return Err(Problem::about(Reason::ImmutableField, Field::Commodity));
                }
                at
            }
            None => {
                let mine = self.deliveries.destinations.iter();
                let mine = mine.filter(|row| row.account == set.account).count();
                crate::exchange::admin::check_room(mine, limits::DESTINATIONS)?;
                self.deliveries.destinations.len()
            }
        };
        let id = DestinationId::nth(place);
        let row = Destination {
            id,
            account: set.account,
            label: set.label.clone(),
            commodity: set.commodity,
            address: set.address.clone(),
            worker: set.worker.clone(),
            protocol: set.protocol,
            account_default: set.account_default,
            usable: set.usable,
            share_difficulty: set.share_difficulty,
        };
        if set.account_default {
            let others = self.deliveries.destinations.iter_mut();
            others
                .filter(|row| row.account == set.account && row.commodity == set.commodity)
                .for_each(|row| row.account_default = false);
        }
        match self.deliveries.destinations.get_mut(place) {
            Some(old) => *old = row,
            None => self.deliveries.destinations.push(row),
        }
        tell(DeliveryEvent::Destination(set.account, id), out);
        let waits: Vec<ObligationId> = self
            .deliveries
            .obligations
            .iter()
            .filter(|row| row.lives() && row.buyer == set.account && row.commodity == set.commodity)
            .filter(|row| row.destination == id || row.destination == DestinationId::NONE)
            .map(|row| row.id)
            .collect();
        for obligation in waits {
            match self.obligation(obligation).map(|row| row.destination) {
                Some(now) if now == id => self.house(obligation, id),
                _ => self.house_by_default(obligation),
            }
            self.advance(obligation, out);
        }
        Ok(made(id.0))
    }

    pub(super) fn assign_destination(
        &mut self,
        assign: &AssignDestination,
        out: &mut Vec<Event>,
    ) -> Outcome {
        let unknown = Problem::about(Reason::UnknownObligation, Field::Obligation);
        let row = self.obligation(assign.obligation).ok_or(unknown)?;
        if row.buyer != assign.account {
            return Err(unknown);
        }
        if !row.lives() || row.ends().is_none_or(|ends| ends <= self.at) {
            return Err(Problem::about(
                Reason::DeliveryWindowClosed,
                Field::Obligation,
            ));
        }
        let place = assign
            .destination
            .index()
            .and_then(|at| self.deliveries.destinations.get(at));
        let place = place.filter(|place| place.account == assign.account);
        let place = place.ok_or(Problem::about(Reason::NotFound, Field::Destination))?;
        if place.commodity != row.commodity {
            return Err(Problem::about(Reason::InvalidField, Field::Destination));
        }
        if !place.usable {
            return Err(Problem::about(
                Reason::DestinationUnreachable,
                Field::Destination,
            ));
        }
        let hardest = self.hardest(assign.obligation);
        if place.share_difficulty > hardest {
            let (limit, actual) = (hardest, place.share_difficulty);
            let reason = Reason::PoolDifficultyOutOfRange;
            return Err(Problem::limit(reason, Field::Destination, limit, actual));
        }
        self.house(assign.obligation, assign.destination);
        self.tell_obligation(assign.obligation, out);
        self.advance(assign.obligation, out);
        Ok(made(assign.destination.0))
    }

    /// The hardest share with which an interval of the obligation can be tested.
    fn hardest(&self, id: ObligationId) -> i64 {
        let Some(row) = self.obligation(id) else {
            return 0;
        };
        let longest = row
            .intervals
            .iter()
            .map(|step| row.hashes_of(step.span()))
            .max();
        let per_share = self.hashes_per_share(row.commodity);
        let hardest = statistics::hardest_share(longest.unwrap_or(0), per_share);
        i64::try_from(hardest).unwrap_or(i64::MAX)
    }

    /// Gives an obligation its destination.
    fn house(&mut self, id: ObligationId, destination: DestinationId) {
        let place = destination
            .index()
            .and_then(|at| self.deliveries.destinations.get(at));
        let usable = place.is_some_and(|place| place.usable);
        let at = self.at;
        let row = self.at_obligation(id);
        row.destination = destination;
        // What fails later is the proxy's to see: it counts the seconds.
        if usable && row.reachable_from == Nanos::ZERO {
            row.reachable_from = at;
        }
    }

    /// The buyer's default destination, if it is usable and easy enough.
    pub(super) fn house_by_default(&mut self, id: ObligationId) {
        let Some(row) = self.obligation(id) else {
            return;
        };
        let (buyer, commodity, hardest) = (row.buyer, row.commodity, self.hardest(id));
        let place = self.deliveries.destinations.iter().find(|place| {
            place.account == buyer
                && place.commodity == commodity
                && place.account_default
                && place.usable
                && place.share_difficulty <= hardest
        });
        if let Some(place) = place.map(|place| place.id) {
            self.house(id, place);
        }
    }
}

/// `host:port`: a name, an IPv4 address or a bracketed IPv6 address, and a port.
fn check_address(address: &str) -> Result<(), Problem> {
    let wrong = Problem::about(Reason::InvalidField, Field::Destination);
    let (host, port) = address.rsplit_once(':').ok_or(wrong)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let fits = match bracketed {
        Some(inner) => inner.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            let label = |part: &str| {
                let inside =
                    |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                (1..=63).contains(&part.len())
                    && part.bytes().all(inside)
                    && !part.starts_with('-')
                    && !part.ends_with('-')
            };
            host.len() <= 253 && host.split('.').all(label)
        }
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port_fits = digits && port.parse::<u16>().is_ok_and(|port| port > 0);
    if fits && port_fits {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// 1 to 128 printable characters without spaces.
fn check_worker(worker: &str) -> Result<(), Problem> {
    if (1..=128).contains(&worker.len()) && worker.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let actual = i64::try_from(worker.len()).unwrap_or(i64::MAX);
    Err(Problem::limit(
        Reason::InvalidField,
        Field::Destination,
        128,
        actual,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_pools() {
        for good in [
            "pool.example:3333",
            "10.0.0.1:1",
            "[2001:db8::1]:65535",
            "a-b_c:443",
        ] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":",
            "pool",
            "pool:",
            "pool:0",
            "pool:65536",
            "pool:+33",
            ":3333",
            "a..b:1",
            "-a:1",
            "a-:1",
            "pool example:1",
            "[::1:3333",
            "[x]:1",
            "stratum+tcp://pool:3333",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
        assert!(check_worker("").is_err() && check_worker("two words").is_err());
        assert_eq!(check_worker("firm.rig1"), Ok(()));
    }
}
