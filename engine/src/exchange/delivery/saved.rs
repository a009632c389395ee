//! Deliveries as they are saved: tables by number, maps in order of their keys.

use std::io;

use super::{Deliveries, Exchange};
use crate::{
    delivery::{Attestation, Destination, Dispute, Meter, Obligation, Rules},
    ids::{AccountId, CommodityId, DestinationId, DisputeId, InstrumentId, MeterId, ObligationId},
    saved::{LoadError, Loader, Saver, Section},
    units::{Nanos, TickLots},
};

const ANY: usize = 1 << 30;

impl Deliveries {
    pub(in crate::exchange) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            rules,
            meters,
            attestations,
            suspensions,
            destinations,
            obligations,
            disputes,
            traded,
            // Follows from the obligations.
            by_seller: _,
        } = self;
        saver.items(Section::DeliveryRules, rules.iter())?;
        saver.items(Section::Meters, meters.iter())?;
        let rows = attestations.values().map(Vec::len).sum();
        saver.section(Section::Attestations, rows)?;
        for row in attestations.values().flatten() {
            saver.item(row)?;
        }
        saver.items(Section::Suspensions, suspensions.iter())?;
        saver.items(Section::Destinations, destinations.iter())?;
        saver.items(Section::Obligations, obligations.iter())?;
        saver.items(Section::Disputes, disputes.iter())?;
        saver.items(Section::BlockTrades, traded.iter())
    }
}

/// Puts the next key of a map in, behind all that are there.
fn next<K: Ord, V>(
    map: &mut std::collections::BTreeMap<K, V>,
    key: K,
    value: V,
) -> Result<(), String> {
    if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
        return Err("it stands behind a later one".into());
    }
    map.insert(key, value);
    Ok(())
}

impl Exchange {
    /// After accounts, commodities and contracts.
    pub(in crate::exchange) fn load_deliveries(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let mut all = Deliveries::default();
        let (accounts, commodities) = (self.accounts.len(), self.commodities.len());
        let contracts = self.instruments.len();
        let account = |id: AccountId| id.index().is_some_and(|at| at < accounts);
        let commodity = |id: CommodityId| id.index().is_some_and(|at| at < commodities);
        let contract = |id: InstrumentId| id.index().is_some_and(|at| at < contracts);
        let unknown = || Err("it names what is not there".to_owned());
        loader.each(
            Section::DeliveryRules,
            ANY,
            |(id, rules): (CommodityId, Rules)| {
                if !commodity(id) {
                    return unknown();
                }
                next(&mut all.rules, id, rules)
            },
        )?;
        all.meters = loader.table(Section::Meters, ANY, |place, row: &Meter| {
            row.id == MeterId::nth(place)
        })?;
        let meters = all.meters.len();
        let meter = |id: MeterId| id.index().is_some_and(|at| at < meters);
        let mut last = None;
        loader.each(Section::Attestations, ANY, |row: Attestation| {
            let key = (row.account, row.commodity);
            if !account(row.account) || !commodity(row.commodity) || !meter(row.meter) {
                return unknown();
            }
            if last.is_some_and(|last| last > key) {
                return Err("it stands behind a later one".into());
            }
            last = Some(key);
            all.attestations.entry(key).or_default().push(row);
            Ok(())
        })?;
        type Suspension = ((AccountId, CommodityId), (Nanos, bool));
        loader.each(Section::Suspensions, ANY, |(key, value): Suspension| {
            if !account(key.0) || (key.1.is_set() && !commodity(key.1)) {
                return unknown();
            }
            next(&mut all.suspensions, key, value)
        })?;
        all.destinations =
            loader.table(Section::Destinations, ANY, |place, row: &Destination| {
                row.id == DestinationId::nth(place)
                    && account(row.account)
                    && commodity(row.commodity)
            })?;
        let places = all.destinations.len();
        let place_known = |id: DestinationId| id.index().is_none_or(|at| at < places);
        all.obligations = loader.table(Section::Obligations, ANY, |place, row: &Obligation| {
            let steps = row.next as usize <= row.intervals.len() || !row.lives();
            row.id == ObligationId::nth(place)
                && [row.seller, row.buyer].into_iter().all(account)
                && commodity(row.commodity)
                && contract(row.instrument)
                && place_known(row.destination)
                && steps
                && (!row.lives() || !row.intervals.is_empty())
        })?;
        let obligations = all.obligations.len();
        all.disputes = loader.table(Section::Disputes, ANY, |place, row: &Dispute| {
            row.id == DisputeId::nth(place)
                && row.obligation.index().is_some_and(|at| at < obligations)
        })?;
        loader.each(
            Section::BlockTrades,
            ANY,
            |row: (InstrumentId, (TickLots, i64))| {
                if !contract(row.0) {
                    return unknown();
                }
                next(&mut all.traded, row.0, row.1)
            },
        )?;
        for row in all.obligations.iter().filter(|row| row.lives()) {
            let key = (row.seller, row.commodity);
            all.by_seller.entry(key).or_default().push(row.id);
        }
        self.deliveries = all;
        Ok(())
    }
}
