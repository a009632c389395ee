//! `offers`: positions of defaulters that a market maker may bid for, sealed, until they close.

use anyhow::Result;
use clap::{Args, Subcommand};
use proto::{
    common::v1::Side,
    risk::v1::{BidDefaultOfferRequest, DefaultOffer, ListDefaultOffersRequest},
};

use super::{
    AccountChoice, Connection, amounts, names, parse, print,
    table::{Align, Table},
};
use crate::client::ClientError;

/// Positions of defaulters.
#[derive(Args, Clone, Debug)]
pub struct Offers {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Bids for one, sealed; a new bid replaces the old one, 0 lots withdraw it.
    Bid {
        /// Number of the offer.
        offer: i64,
        /// Lots at most.
        #[arg(long)]
        lots: i64,
        /// Price in ticks: what you pay for a long position, or take a short one over at.
        #[arg(long, value_parser = parse::ticks)]
        price: i64,
    },
}

impl Offers {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        if let Some(What::Bid { offer, lots, price }) = self.what {
            let request = BidDefaultOfferRequest {
                account_id,
                offer_id: offer,
                price_ticks: price,
                lots,
            };
            let answer = client.risk().bid_default_offer(request).await;
            let seq = answer.map_err(ClientError::from)?.into_inner().journal_seq;
            return print(&format!("kept, sealed, as command {seq}\n")).map(drop);
        }
        let request = ListDefaultOffersRequest { account_id };
        let answer = client.risk().list_default_offers(request).await;
        let offers = answer.map_err(ClientError::from)?.into_inner().offers;
        print(&table(&offers)).map(drop)
    }
}

fn table(offers: &[DefaultOffer]) -> String {
    let mut table = Table::new(&[
        ("offer", Align::Right),
        ("contract", Align::Right),
        ("position", Align::Left),
        ("lots", Align::Right),
        ("worst price", Align::Right),
        ("own bid", Align::Left),
        ("closes", Align::Left),
    ]);
    for offer in offers {
        let position = match offer.side() {
            Side::Sell => "long",
            _ => "short",
        };
        let own = match offer.own_lots {
            0 => "none".into(),
            lots => format!(
                "{} @ {}",
                amounts::grouped(lots),
                amounts::grouped(offer.own_price_ticks)
            ),
        };
        table.row(vec![
            offer.offer_id.to_string(),
            offer.instrument_id.to_string(),
            position.into(),
            amounts::grouped(offer.lots),
            amounts::grouped(offer.worst_price_ticks),
            own,
            names::clock(offer.closes_unix_nanos),
        ]);
    }
    table.render("no offers")
}
