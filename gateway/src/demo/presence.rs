//! How a maker comes, comes back and goes: logon, recovery after a loss, orderly farewell.

use std::time::{Duration, Instant};

use proto::trading::v1::{DisconnectAction, session_event::Event};
use tokio::time;

use super::{maker::Maker, stop::Stop, wording};
use crate::client::{ClientError, Session, SessionOptions};

const RETRY: Duration = Duration::from_millis(300);

impl Maker {
    /// Opens the session; none if the stop is told first.
    pub(super) async fn log_on(&self, stop: &mut Stop) -> Option<Session> {
        let options = SessionOptions {
            name: self.name.clone(),
            account_id: self.account_id,
            heartbeat_interval_ms: 1_000,
            disconnect_action: DisconnectAction::CancelSessionOrders,
            disconnect_grace_ms: 0,
        };
        loop {
            let opened = tokio::select! {
                () = stop.wait() => return None,
                opened = Session::open(self.client.clone(), options.clone()) => opened,
            };
            match opened {
                Ok(session) => return Some(session),
                Err(error) => self.tally.notice(format!("{}: {error}", self.name)),
            }
            time::sleep(RETRY).await;
        }
    }

    /// Resumes a lost session; `false` if there is nothing to go on with.
    pub(super) async fn recover(
        &mut self,
        session: &mut Session,
        mut error: ClientError,
        stop: &mut Stop,
    ) -> bool {
        loop {
            self.tally.notice(format!("{}: {error}", self.name));
            tokio::select! {
                () = stop.wait() => return false,
                () = time::sleep(RETRY) => {}
            }
            match session.resume().await {
                Ok(recovered) => {
                    self.tally.reconnected();
                    let now = Instant::now();
                    for unsent in &recovered.without_effect {
                        if let Some(waiting) = self.quotes.answered(unsent.client_seq) {
                            self.quotes.had_no_effect(&waiting, now);
                        }
                    }
                    if recovered.from_images {
                        // Nobody can say which rung an old order was: start with a clean book.
                        self.quotes.forget();
                        let all = wording::cancel_everything();
                        if session.send(all).await.is_err() {
                            continue;
                        }
                    }
                    self.look_at_all();
                    return true;
                }
                Err(next) if next.reason() == "SESSION_FENCED" => return false,
                Err(next) => error = next,
            }
        }
    }

    /// Takes all own orders out, waits until the exchange has said so, and logs off.
    pub(super) async fn farewell(&mut self, mut session: Session) {
        self.tally.sent();
        let mut asked = session.send(wording::cancel_everything()).await;
        while let Ok(client_seq) = asked {
            match session.next().await {
                Ok(event) => {
                    self.hear(&event);
                    let done = matches!(
                        event.event,
                        Some(Event::MassCancelDone(_) | Event::CommandRejected(_))
                    );
                    if done && event.client_seq == client_seq {
                        break;
                    }
                }
                Err(error) => asked = Err(error),
            }
        }
        let end = match asked {
            Ok(_) => session.terminate(true).await,
            Err(error) => Err(error),
        };
        if let Err(error) = end {
            self.tally.notice(format!("{}: {error}", self.name));
        }
    }
}
