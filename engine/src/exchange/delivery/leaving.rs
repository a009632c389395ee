//! Deliveries of whoever leaves by the chain become cash, as by force majeure (EXIT-07): what is still to come
//! at once, what has begun when it is measured, or when the patience is over.

use super::{Exchange, Nanos, Obligation, ObligationId, ObligationState, settle::Prices, tell};
use crate::{
    delivery::price::Sold,
    event::{DeliveryEvent, Event, PostingKind, SettlementRow},
    ids::{AccountId, house},
    ledger::About,
    units::{Lots, Minor},
};

impl Exchange {
    /// Settles what can be settled of an account's deliveries; with `now`, everything. Answers when the next
    /// of those that have begun settles, if any is left.
    pub(in crate::exchange) fn leave_deliveries(
        &mut self,
        account: AccountId,
        now: bool,
        out: &mut Vec<Event>,
    ) -> Option<Nanos> {
        let rows = self.deliveries.obligations.iter();
        let mine =
            rows.filter(|row| row.lives() && (row.seller == account || row.buyer == account));
        let mine: Vec<ObligationId> = mine.map(|row| row.id).collect();
        for id in &mine {
            self.cash_rest(*id, account, out);
            if now {
                self.settle_begun(*id, out);
            }
            self.refresh(*id, out);
        }
        let left = mine.iter().filter_map(|id| self.obligation(*id));
        let left = left.filter(|row| row.lives()).map(|row| row.timer);
        left.min()
    }

    /// From now on it is force majeure. Intervals that have not begun are cash at the index of this moment.
    fn cash_rest(&mut self, id: ObligationId, leaver: AccountId, out: &mut Vec<Event>) {
        let at = self.at;
        let Some(row) = self.obligation(id) else {
            return;
        };
        let begun = row.intervals.iter().take_while(|step| step.start < at);
        let begun = begun.count().max(row.next as usize);
        if !row.is_suspended() {
            self.at_obligation(id).suspensions.push((at, Nanos::ZERO));
        }
        let Some(row) = self.obligation(id) else {
            return;
        };
        let Some(start) = row.intervals.get(begun).map(|step| step.start) else {
            return;
        };
        let ahead = row.intervals[begun..].iter();
        let hashes: u128 = ahead.map(|step| row.hashes_of(step.span())).sum();
        let prices = self.prices(row);
        let contract = self.contract(row.instrument);
        let (asset, commodity) = (contract.terms.price_asset, row.commodity);
        let sold = Sold {
            lots: row.lots,
            hashes: row.hashes.max(1),
            value: row.value,
            tick_value: contract.tick_value,
        };
        let index = i128::from(prices.index.0) * 1_000_000;
        let difference = sold.difference(hashes, index);
        let last = begun <= row.next as usize;
        let (seller, buyer) = (row.seller, row.buyer);

        let row = self.at_obligation(id);
        row.cashed += hashes;
        row.intervals.truncate(begun);
        let settled = sold.money(row.paid + row.bought + row.cashed);
        let returned = match last {
            true => row.value - row.paid_money,
            false => row.returned.max(settled - row.paid_money),
        };
        let back = returned - row.returned;
        row.returned = returned;
        let escrow = (row.value - row.paid_money - returned).max(Minor::ZERO);
        let bond = match last {
            true => Minor::ZERO,
            false => (row.bond - difference.max(Minor::ZERO)).max(Minor::ZERO),
        };
        let freed = (row.escrow - escrow, row.bond - bond);
        (row.escrow, row.bond) = (escrow, bond);
        self.ledger.change(buyer, asset).held += -freed.0;
        self.ledger.change(seller, asset).held += -freed.1;
        let about = About {
            instrument: self
                .obligation(id)
                .map(|row| row.instrument)
                .unwrap_or_default(),
            transfer: id.0,
            ..About::default()
        };
        let sides = match difference >= Minor::ZERO {
            true => (seller, buyer, asset),
            false => (buyer, seller, asset),
        };
        let amount = Minor(difference.0.abs());
        let (paid, insured) = self.payable((sides.0, leaver), sides.2, amount);
        for (account, part) in [(house::INSURANCE, -insured), (sides.0, insured)] {
            let kind = PostingKind::InsuranceFund;
            self.ledger.post(out, (account, asset), part, kind, about);
        }
        self.pay(sides, paid, PostingKind::FinalSettlement, about, out);
        let signed = if sides.0 == seller { paid } else { -paid };
        self.settlements += 1;
        let told = SettlementRow {
            id: self.settlements,
            obligation: id,
            instrument: about.instrument,
            seller,
            buyer,
            lots: Lots(sold.lots),
            start,
            delivered: 0,
            missing: 0,
            cashed: hashes,
            payment: Minor::ZERO,
            charge: Minor::ZERO,
            difference: signed,
            fee: Minor::ZERO,
            returned: back,
            bond_released: freed.1,
            insured,
            index: prices.index,
            imbalance: prices.imbalance.in_ticks(),
        };
        let seq = self.seq;
        self.at_obligation(id).settlements.push((told, seq));
        tell(DeliveryEvent::Settlement(told), out);
        if last {
            let row = self.at_obligation(id);
            row.state = ObligationState::Settled;
            row.intervals = Vec::new();
            if let Some(living) = self.deliveries.by_seller.get_mut(&(seller, commodity)) {
                living.retain(|known| *known != id);
            }
            self.tell_obligation(id, out);
        }
    }

    /// What somebody pays, and how much of it the insurance fund gives him. Whoever leaves pays all; the other
    /// side, who did nothing, no more than it has free and the fund adds.
    fn payable(
        &self,
        (payer, leaver): (AccountId, AccountId),
        asset: crate::ids::AssetId,
        amount: Minor,
    ) -> (Minor, Minor) {
        let free = self.ledger.balance(payer, asset).available();
        let lacks = (amount - free.max(Minor::ZERO)).max(Minor::ZERO);
        let fund = self.ledger.balance(house::INSURANCE, asset).cash;
        let insured = lacks.min(fund.max(Minor::ZERO));
        match payer == leaver {
            true => (amount, insured),
            false => (amount - lacks + insured, insured),
        }
    }

    /// What has begun is settled with what is known now, the rest of a running interval at the index.
    fn settle_begun(&mut self, id: ObligationId, out: &mut Vec<Event>) {
        if let Some(last) = self.at_obligation(id).suspensions.last_mut() {
            last.1 = Nanos(i64::MAX);
        }
        loop {
            let row = self.obligation(id).filter(|row| row.lives());
            let step =
                row.and_then(|row: &Obligation| Some((row, row.intervals.get(row.next as usize)?)));
            let Some((row, step)) = step else {
                return;
            };
            let (measured, prices): (_, Prices) = (self.measure(row, step), self.prices(row));
            let start = step.start;
            self.book_step(id, &measured, &prices, start, out);
        }
    }
}
