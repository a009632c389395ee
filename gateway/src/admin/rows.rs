//! Firms, accounts and keys as the operator sees them.

use engine::{
    command::AccountKind,
    exchange::{Account, Firm, Key},
};
use proto::{admin::v1 as wire, common::v1::Permission};

/// A firm.
pub(super) fn firm_out(firm: &Firm) -> wire::Firm {
    wire::Firm {
        firm_id: i64::from(firm.id.0),
        firm_code: firm.details.code.clone(),
        legal_name: firm.details.legal_name.clone(),
        lei: firm.details.lei.clone(),
    }
}

/// An account.
pub(super) fn account_out(account: &Account) -> wire::Account {
    let kind = match account.kind {
        AccountKind::Client => wire::AccountKind::Client,
        AccountKind::MarketMaker => wire::AccountKind::MarketMaker,
        AccountKind::House => wire::AccountKind::House,
        AccountKind::InsuranceFund => wire::AccountKind::InsuranceFund,
        AccountKind::Backstop => wire::AccountKind::Backstop,
    };
    wire::Account {
        account_id: i64::from(account.id.0),
        firm_id: i64::from(account.firm.0),
        label: account.label.clone(),
        kind: kind as i32,
        status: crate::translate::account::status(account.status),
        l2_owner: Vec::new(),
        maker_fee_offset_ppm: account.maker_fee_offset,
        taker_fee_offset_ppm: account.taker_fee_offset,
        created_unix_nanos: account.created_at.0,
    }
}

/// Permissions of a set.
pub(crate) fn permissions_out(set: u32) -> Vec<i32> {
    (1..32)
        .filter(|number| set & (1 << number) != 0)
        .filter(|number| Permission::try_from(*number).is_ok())
        .collect()
}

/// A key; there is no secret in it.
pub(super) fn key_out(key: &Key) -> wire::ApiKey {
    let details = &key.details;
    wire::ApiKey {
        key_id: details.key_id.clone(),
        firm_id: i64::from(details.firm.0),
        label: details.label.clone(),
        public_key: details.public_key.to_vec(),
        permissions: permissions_out(details.permissions),
        account_ids: details.accounts.iter().map(|id| i64::from(id.0)).collect(),
        allowed_cidrs: Vec::new(),
        expires_unix_nanos: details.expires.0,
        revoked: key.revoked,
        last_used_unix_nanos: 0,
    }
}
