//! The reference meter between a simulated miner, which really hashes, and a simulated pool, over TCP.

use std::sync::Arc;

use gateway::{
    delivery::signed,
    keys::PrivateKey,
    meter::{
        Meter, Plan, serve, sign,
        stratum::{Job, Share, meets},
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

/// Few, so that a test can mine: a share of difficulty 4 takes 256 hashes.
const HASHES_PER_SHARE: u64 = 64;
/// The window in which everything counts.
const WINDOW: (i64, i64) = (0, i64::MAX / 2);

fn notify(job: &str, clean: bool) -> Value {
    let zero = "00".repeat(32);
    let branch = ["11".repeat(32)];
    json!({"id": null, "method": "mining.notify", "params":
        [job, zero, "0102", "0304", branch, "20000000", "1d00ffff", "65000000", clean]})
}

fn difficulty(difficulty: u64) -> Value {
    json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]})
}

/// A pool for one miner: says yes to everything but the job named `late`, which it calls stale, and
/// `odd`, which it refuses without a reason that anybody could check. Sends what the test hands it.
async fn pool(listener: TcpListener, mut orders: mpsc::Receiver<Value>) {
    let (stream, _) = listener.accept().await.expect("the proxy connects");
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    loop {
        let said = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => order,
                None => return,
            },
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                let asked: Value = serde_json::from_str(&line).expect("json");
                match (asked["method"].as_str(), asked["params"][1].as_str()) {
                    (Some("mining.subscribe"), _) => {
                        json!({"id": asked["id"], "result": [[], "aabbccdd", 7], "error": null})
                    }
                    (_, Some("late")) => {
                        json!({"id": asked["id"], "result": null, "error": [21, "stale", null]})
                    }
                    (_, Some("odd")) => {
                        json!({"id": asked["id"], "result": null, "error": [20, "no", null]})
                    }
                    _ => json!({"id": asked["id"], "result": true, "error": null}),
                }
            }
        };
        to.write_all(format!("{said}\n").as_bytes())
            .await
            .expect("the proxy reads");
    }
}

struct Miner {
    lines: Lines<BufReader<OwnedReadHalf>>,
    to: OwnedWriteHalf,
    asked: u64,
    nonce: u32,
}

impl Miner {
    async fn say(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let line = json!({"id": self.asked, "method": method, "params": params});
        self.to
            .write_all(format!("{line}\n").as_bytes())
            .await
            .expect("sent");
        loop {
            let heard = self.hear().await;
            if heard["id"] == json!(self.asked) {
                return heard;
            }
        }
    }

    async fn hear(&mut self) -> Value {
        let line = self
            .lines
            .next_line()
            .await
            .expect("readable")
            .expect("not over");
        serde_json::from_str(&line).expect("json")
    }

    /// Waits for a line of a method.
    async fn wait_for(&mut self, method: &str) -> Value {
        loop {
            let heard = self.hear().await;
            if heard["method"] == json!(method) {
                return heard;
            }
        }
    }

    /// Hashes until a share of the job does, or does not, meet a difficulty.
    fn mine(&mut self, told: &Value, wanted: u64, good: bool) -> Share {
        let params = told["params"].as_array().expect("params");
        let (_, job, _) = Job::read(params, wanted).expect("a job");
        loop {
            self.nonce += 1;
            let share = Share {
                extranonce2: vec![0, 0, 0, 0, 0, 0, 1],
                time: 0x6500_0001,
                nonce: self.nonce,
                version_bits: 0,
            };
            let hash = job.hash(&[0xaa, 0xbb, 0xcc, 0xdd], &share, 0x1fff_e000);
            if meets(&hash, wanted, HASHES_PER_SHARE) == good {
                return share;
            }
        }
    }

    async fn submit(&mut self, job: &str, share: &Share) -> Value {
        let (time, nonce) = (
            format!("{:08x}", share.time),
            format!("{:08x}", share.nonce),
        );
        self.say(
            "mining.submit",
            json!(["fund.1", job, "00000000000001", time, nonce]),
        )
        .await
    }
}

#[tokio::test]
async fn a_meter_counts_what_was_assigned_and_nothing_twice() {
    let behind = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let pool_address = behind.local_addr().expect("bound").to_string();
    let (orders, from_test) = mpsc::channel(16);
    let pool = tokio::spawn(pool(behind, from_test));
    let meter = Arc::new(Meter::new(Plan {
        pool: pool_address,
        meter_id: "eye".into(),
        obligation_id: 7,
        from: WINDOW.0,
        until: WINDOW.1,
        interval_seconds: 1 << 32,
        hashes_per_share: HASHES_PER_SHARE,
    }));
    let front = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = front.local_addr().expect("bound");
    let server = tokio::spawn(serve(meter.clone(), front));
    let stream = TcpStream::connect(address)
        .await
        .expect("the proxy listens");
    let (from, to) = stream.into_split();
    let mut miner = Miner {
        lines: BufReader::new(from).lines(),
        to,
        asked: 0,
        nonce: 0,
    };
    let subscribed = miner.say("mining.subscribe", json!([])).await;
    assert_eq!(
        subscribed["result"][2], 7,
        "the pool's answer comes through unchanged"
    );

    // Twenty shares at difficulty 4, and luck does not count: a share's own hash may be far better.
    orders.send(difficulty(4)).await.expect("sent");
    orders.send(notify("one", true)).await.expect("sent");
    let one = miner.wait_for("mining.notify").await;
    let mut newest = None;
    for _ in 0..20 {
        let share = miner.mine(&one, 4, true);
        let answer = miner.submit("one", &share).await;
        assert_eq!(answer["result"], true);
        newest = Some(share);
    }
    // A replay, a share that is too easy and one of no job: the pool says yes, the meter does not.
    let again = newest.expect("twenty");
    miner.submit("one", &again).await;
    let easy = miner.mine(&one, 4, false);
    miner.submit("one", &easy).await;
    miner.submit("never", &again).await;
    // A new difficulty is that of later jobs.
    orders.send(difficulty(9)).await.expect("sent");
    miner.wait_for("mining.set_difficulty").await;
    let share = miner.mine(&one, 4, true);
    miner.submit("one", &share).await;
    orders.send(notify("late", false)).await.expect("sent");
    let late = miner.wait_for("mining.notify").await;
    let share = miner.mine(&late, 9, true);
    miner.submit("late", &share).await;
    orders.send(notify("odd", true)).await.expect("sent");
    let odd = miner.wait_for("mining.notify").await;
    for _ in 0..2 {
        let share = miner.mine(&odd, 9, true);
        miner.submit("odd", &share).await;
    }
    // The clean job made the first one stale.
    let share = miner.mine(&one, 4, true);
    miner.submit("one", &share).await;

    // 21 × 4 and 2 × 9 count; 4 + 4 + 4 + 9 + 9 do not: replayed, too easy, unknown, stale by the pool's
    // word, stale by the clean job.
    let now = gateway::client::now_unix_nanos();
    let reading = meter.reading(0, now);
    assert_eq!(
        (reading.accepted_shares, reading.accepted_difficulty),
        (23, 102)
    );
    assert_eq!(
        (reading.rejected_shares, reading.rejected_difficulty),
        (5, 30)
    );
    // Σd²/Σd = (21 × 16 + 2 × 81) / 102 = 4.88.
    assert_eq!(reading.mean_weighted_difficulty, 5);
    assert_eq!(
        (reading.destination_down_seconds, reading.committed),
        (0, false)
    );

    // Signed, and not with another number.
    let key = PrivateKey::from_seed([3; 32]);
    let mut request = sign(&key, reading);
    let proof = engine::command::Signed {
        public_key: key.public_key(),
        signature: request.signature.clone().try_into().expect("64 bytes"),
    };
    let text = |request: &proto::admin::v1::SubmitMeterReadingRequest| {
        signed::reading(request.reading.as_ref().expect("a reading"))
    };
    signed::check(&text(&request), &["eye"], &proof).expect("good");
    request
        .reading
        .as_mut()
        .expect("a reading")
        .accepted_difficulty += 1;
    signed::check(&text(&request), &["eye"], &proof).expect_err("changed");

    // The pool hangs up: from then on the destination is down.
    drop(orders);
    pool.await.expect("no panic");
    while miner.lines.next_line().await.expect("readable").is_some() {}
    let down = meter.reading(0, gateway::client::now_unix_nanos() + 10_000_000_000);
    assert!(
        (9..=11).contains(&down.destination_down_seconds),
        "{down:?}"
    );
    server.abort();
}
