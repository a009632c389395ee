//! The exchange as a process of its own, that a test can kill, freeze, stop and weigh.
//!
//! The process is the test binary, started again for one hidden test ([`HIDDEN`]), so that it is always
//! built from the same source as the test. What runs in it is the whole server, from the disk to gRPC.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// The hidden test that serves.
pub const HIDDEN: &str = "process::serves_until_told_otherwise";
/// Names the folder to that test.
pub const FOLDER: &str = "HASHPIT_SERVED_FOLDER";
/// Names the address.
pub const LISTEN: &str = "HASHPIT_SERVED_ADDRESS";
/// How many commands lie between two snapshots.
pub const SNAPSHOT_EVERY: &str = "HASHPIT_SERVED_SNAPSHOT_EVERY";
/// What it answers when the exchange in it stopped by itself.
pub const STOPPED_BY_ITSELF: i32 = 3;

/// How to start the process, any number of times.
#[derive(Clone, Debug)]
pub struct Plan {
    folder: PathBuf,
    listen: SocketAddr,
    log: PathBuf,
    snapshot_every: Option<u64>,
    clock: Option<PathBuf>,
}

/// The library that gives a process another clock, if this machine has it; CI must.
#[must_use]
pub fn faked_clock() -> Option<PathBuf> {
    let at = |folder: &str| Path::new(folder).join("faketime/libfaketimeMT.so.1");
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    usual.into_iter().map(at).find(|path| path.is_file())
}

impl Plan {
    /// In this folder, at an address that stays the same from start to start, so that clients find it
    /// again by themselves. The address is of this process's own (all of 127/8 is this machine), with a
    /// port that no client is ever given, or a client that knocks while nobody listens could meet itself.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let net = 64 + COUNT.fetch_add(1, Ordering::Relaxed) % 128;
        Self {
            folder: folder.into(),
            listen: SocketAddr::from(([127, net, high, low.clamp(1, 254)], 7_070)),
            log: folder.join("stderr.txt"),
            snapshot_every: None,
            clock: None,
        }
    }

    /// With another clock: this library reads from `clock` how far it is off, such as `-3600`, again and again.
    #[must_use]
    pub fn clock(self, clock: &Path) -> Self {
        Self {
            clock: Some(clock.into()),
            ..self
        }
    }

    /// With a snapshot each so many commands, so that starts begin with one, and all segments that no
    /// snapshot needs archived.
    #[must_use]
    pub fn snapshot_every(self, commands: u64) -> Self {
        Self {
            snapshot_every: Some(commands),
            ..self
        }
    }

    /// Moves the segments that it let go of back to where they were, now that it is gone. Answers how many.
    ///
    /// # Panics
    /// If that is not possible.
    #[must_use]
    pub fn bring_back_archived(&self) -> usize {
        let archived = std::fs::read_dir(self.folder.join("archive"));
        let segments = archived.into_iter().flatten().flatten();
        let back = |file: std::fs::DirEntry| {
            let place = self.folder.join("journal").join(file.file_name());
            assert!(!place.exists(), "{} is in both places", place.display());
            std::fs::rename(file.path(), place).expect("moved back");
        };
        segments.map(back).count()
    }

    /// With its log in another place than its data.
    #[must_use]
    pub fn log(self, log: &Path) -> Self {
        Self {
            log: log.into(),
            ..self
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Folder of its keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Its data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it, and does not wait.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn launch(&self) -> Server {
        let errors = self.log.clone();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&errors)
            .expect("a log file");
        let mut process = Command::new(std::env::current_exe().expect("this binary"));
        if let Some(every) = self.snapshot_every {
            process.env(SNAPSHOT_EVERY, every.to_string());
        }
        if let Some(clock) = &self.clock {
            // Timers keep the real time that passes: only the time of day jumps, as when it is set.
            process
                .env("LD_PRELOAD", faked_clock().expect("the library is there"))
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("DONT_FAKE_MONOTONIC", "1");
        }
        process
            .args(["--exact", HIDDEN, "--ignored", "--nocapture"])
            .env(FOLDER, &self.folder)
            .env(LISTEN, self.listen.to_string())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = process.spawn().expect("the server process starts");
        let out = child.stdout.take().expect("piped");
        Server {
            pid: child.id().expect("a number"),
            child,
            out: BufReader::new(out).lines(),
            errors,
            began: 0,
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn start(&self) -> Server {
        let mut server = self.launch();
        server.listening().await;
        server
    }
}

/// The process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    /// Held open: the test harness in there says so when a minute is over, and a closed pipe would end it.
    out: Lines<BufReader<ChildStdout>>,
    errors: PathBuf,
    began: u64,
}

/// What the system says about a process's memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// At most so far.
    pub peak: u64,
}

impl Server {
    /// Waits until it listens.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn listening(&mut self) {
        let rest = self.says("listening").await;
        self.note(&rest);
    }

    /// What stands behind "listening": the address, and the snapshot that it began with.
    fn note(&mut self, rest: &str) {
        let began = rest.split_whitespace().last();
        self.began = began.and_then(|seq| seq.parse().ok()).unwrap_or(0);
    }

    /// The last command of the snapshot that it began with; 0 if it began with none.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Waits until it listens, or ends; whether it listens.
    pub async fn comes_up(&mut self) -> bool {
        while let Ok(Some(line)) = self.out.next_line().await {
            if let Some(rest) = line.strip_prefix("listening") {
                self.note(rest);
                return true;
            }
        }
        false
    }

    /// Waits for a line that begins so; the rest of it.
    ///
    /// # Panics
    /// If it ends before.
    pub async fn says(&mut self, word: &str) -> String {
        while let Ok(Some(line)) = self.out.next_line().await {
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
        panic!("the server ended before it said {word}: {}", self.errors());
    }

    /// What it wrote to its log, over all starts.
    #[must_use]
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Whether it is still there.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// kill -9, and waits until it is gone.
    ///
    /// # Panics
    /// If it had ended by itself.
    pub async fn kill(mut self) {
        assert!(self.lives(), "it ended by itself: {}", self.errors());
        self.child.start_kill().expect("kill -9");
        self.child.wait().await.expect("gone");
    }

    /// kill -9 if it is still there.
    ///
    /// # Panics
    /// If the system does not say that it is gone.
    pub async fn finish_off(mut self) {
        // It may have ended by itself; that is as good.
        drop(self.child.start_kill());
        self.child.wait().await.expect("gone");
    }

    /// Asks it to stop in order, and waits.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.child.wait().await.expect("gone")
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If the system does not say.
    pub async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("gone")
    }

    /// Sends it a signal by name, such as `STOP`.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn signal(&self, name: &str) {
        let text = format!("kill -{name} {}", self.pid);
        let sent = Command::new("sh").args(["-c", &text]).status().await;
        assert!(sent.expect("a shell").success(), "{text}");
    }

    /// Gives it the first half of the cores and this process the others, so that neither takes time from the
    /// other. On one core they share it.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn apart(&self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 {
            return;
        }
        let half = cores / 2;
        for (pid, from, to) in [
            (self.pid, 0, half - 1),
            (std::process::id(), half, cores - 1),
        ] {
            let (range, pid) = (format!("{from}-{to}"), pid.to_string());
            let moved = Command::new("taskset")
                .args(["--all-tasks", "--cpu-list", "--pid", &range, &pid])
                .stdout(Stdio::null())
                .status()
                .await;
            assert!(moved.expect("taskset").success(), "{pid} to {range}");
        }
    }

    /// Its memory.
    ///
    /// # Panics
    /// Where the system does not say.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("a status");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let digits = line.and_then(|line| line.split_whitespace().next());
            digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
        };
        Memory {
            resident: of("VmRSS:"),
            peak: of("VmHWM:"),
        }
    }

    /// Lets the system count the peak anew from now on, where it permits that.
    pub fn forget_peak(&self) {
        // Where it is not permitted, the older peak stays: the bound is then tested more strictly.
        drop(std::fs::write(
            format!("/proc/{}/clear_refs", self.pid),
            "5",
        ));
    }
}
