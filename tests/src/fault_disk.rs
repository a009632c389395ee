//! A disk with a volatile cache, in memory, with a real file system on top.
//!
//! A FUSE file system holds one file, the image of a disk. What is written to it stays volatile until it is
//! synced; a power cut keeps or loses each unsynced 512-byte sector by a seed. An ext4 is mounted on the image
//! through a loop device, so that a server process writes to it as to any disk, io_uring included: tools that
//! stand between a program and its C library see nothing of that, a file system does.
//!
//! Limits: sectors that survive a cut do so in the order of writing (none is misdirected or written twice);
//! one thread serves everything, so no speed seen on it means anything.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, FileAttr, FileType, Filesystem, MountOption, ReplyAttr, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, consts::FOPEN_DIRECT_IO,
};

use crate::generator::Random;

const NO_ENTRY: i32 = 2;
const IO_ERROR: i32 = 5;
const SECTOR: usize = 512;
const IMAGE: &str = "disk.img";
const FOLDER_NODE: u64 = 1;
const IMAGE_NODE: u64 = 2;

/// What a power cut did to what was not synced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// Sectors that had reached the disk all the same.
    pub kept: usize,
    /// Sectors that had not.
    pub lost: usize,
}

/// Everything there is to know of the disk.
#[derive(Debug)]
struct State {
    /// What survives.
    durable: Vec<u8>,
    /// What readers see.
    view: Vec<u8>,
    /// Written, not synced.
    pending: Vec<(usize, Vec<u8>)>,
    off: bool,
    /// Syncs are answered and do nothing.
    lies: bool,
    /// Everything fails from the so-manieth write on; 0 = not.
    breaks_at_write: u64,
    /// The same for syncs.
    breaks_at_sync: u64,
    broken: bool,
    /// The power goes with the so-manieth write, by this seed; 0 = not.
    cut_at_write: (u64, u64),
    /// The newest cut.
    cut: Cut,
    writes: u64,
    syncs: u64,
}

impl State {
    fn sync(&mut self) {
        for (at, bytes) in self.pending.drain(..) {
            self.durable[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn power_off(&mut self, seed: u64) {
        let (mut random, mut cut) = (Random::new(seed), Cut::default());
        for (at, bytes) in std::mem::take(&mut self.pending) {
            for (nth, sector) in bytes.chunks(SECTOR).enumerate() {
                if random.percent(50) {
                    let at = at + nth * SECTOR;
                    self.durable[at..at + sector.len()].copy_from_slice(sector);
                    cut.kept += 1;
                } else {
                    cut.lost += 1;
                }
            }
        }
        self.off = true;
        self.cut = cut;
    }

    /// Whether this write or sync is the one that breaks the disk, or comes after it.
    fn breaks(count: &mut u64, broken: &mut bool) -> bool {
        *broken |= *count == 1;
        *count = count.saturating_sub(1);
        *broken
    }
}

/// The disk, mounted as a folder with one file in it.
#[derive(Debug)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
    folder: PathBuf,
    /// Unmounts when dropped.
    _session: BackgroundSession,
}

impl FaultDisk {
    /// A disk of so many bytes.
    ///
    /// # Errors
    /// Why this machine does not permit it.
    pub fn new(folder: &Path, bytes: usize) -> Result<Self, String> {
        let state = Arc::new(Mutex::new(State {
            durable: vec![0; bytes],
            view: vec![0; bytes],
            pending: Vec::new(),
            off: false,
            lies: false,
            breaks_at_write: 0,
            breaks_at_sync: 0,
            broken: false,
            cut_at_write: (0, 0),
            cut: Cut::default(),
            writes: 0,
            syncs: 0,
        }));
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let options = [MountOption::FSName("fault-disk".into())];
        let session = fuser::spawn_mount2(Served(state.clone()), folder, &options);
        let session = session.map_err(|error| format!("FUSE cannot be mounted: {error}"))?;
        Ok(Self {
            state,
            folder: folder.into(),
            _session: session,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes: unsynced sectors are kept or lost by the seed, and nothing answers any more. If it
    /// had gone already, says what that did.
    pub fn power_off(&self, seed: u64) -> Cut {
        let mut state = self.state();
        if !state.off {
            state.power_off(seed);
        }
        state.cut
    }

    /// The power goes in the middle of the `nth` write from now on.
    pub fn power_off_at_write(&self, nth: u64, seed: u64) {
        self.state().cut_at_write = (nth, seed);
    }

    /// The power is back, and so is a disk that was broken.
    pub fn power_on(&self) {
        let mut state = self.state();
        state.view = state.durable.clone();
        (state.off, state.broken, state.lies) = (false, false, false);
        (state.breaks_at_write, state.breaks_at_sync) = (0, 0);
        state.cut_at_write = (0, 0);
    }

    /// From now on syncs are answered and do nothing.
    pub fn lie(&self) {
        self.state().lies = true;
    }

    /// Everything fails from the `nth` write from now on.
    pub fn break_at_write(&self, nth: u64) {
        self.state().breaks_at_write = nth;
    }

    /// Everything fails from the `nth` sync from now on.
    pub fn break_at_sync(&self, nth: u64) {
        self.state().breaks_at_sync = nth;
    }

    /// Writes and syncs so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.writes, state.syncs)
    }
}

/// The FUSE side.
struct Served(Arc<Mutex<State>>);

impl Served {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, node: u64) -> Option<FileAttr> {
        let (kind, size) = match node {
            FOLDER_NODE => (FileType::Directory, 4_096),
            IMAGE_NODE => (FileType::RegularFile, self.state().view.len() as u64),
            _ => return None,
        };
        Some(FileAttr {
            ino: node,
            size,
            blocks: size.div_ceil(SECTOR as u64),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4_096,
            flags: 0,
        })
    }
}

/// Nothing is cached above.
const AT_ONCE: Duration = Duration::ZERO;

impl Filesystem for Served {
    fn lookup(&mut self, _: &Request<'_>, _: u64, name: &OsStr, reply: ReplyEntry) {
        let found = (name == IMAGE).then(|| self.attributes(IMAGE_NODE));
        match found.flatten() {
            Some(attributes) => reply.entry(&AT_ONCE, &attributes, 0),
            None => reply.error(NO_ENTRY),
        }
    }

    fn getattr(&mut self, _: &Request<'_>, node: u64, _: Option<u64>, reply: ReplyAttr) {
        match self.attributes(node) {
            Some(attributes) => reply.attr(&AT_ONCE, &attributes),
            None => reply.error(NO_ENTRY),
        }
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        node: u64,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _fh: Option<u64>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<u32>,
        reply: ReplyAttr,
    ) {
        // A disk keeps its size.
        match self.attributes(node) {
            Some(attributes) => reply.attr(&AT_ONCE, &attributes),
            None => reply.error(NO_ENTRY),
        }
    }

    fn open(&mut self, _: &Request<'_>, node: u64, _: i32, reply: ReplyOpen) {
        reply.opened(node, FOPEN_DIRECT_IO);
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        _node: u64,
        _fh: u64,
        offset: i64,
        size: u32,
        _flags: i32,
        _lock: Option<u64>,
        reply: ReplyData,
    ) {
        let state = self.state();
        let all = state.view.len();
        let from = usize::try_from(offset).unwrap_or(all).min(all);
        let to = (from + size as usize).min(all);
        reply.data(&state.view[from..to]);
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        _node: u64,
        _fh: u64,
        offset: i64,
        bytes: &[u8],
        _write_flags: u32,
        _flags: i32,
        _lock: Option<u64>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        let state = &mut *state;
        state.writes += 1;
        let broken = State::breaks(&mut state.breaks_at_write, &mut state.broken);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(bytes.len());
        if state.off || broken || to > state.view.len() {
            return reply.error(IO_ERROR);
        }
        state.view[from..to].copy_from_slice(bytes);
        state.pending.push((from, bytes.to_vec()));
        let (left, seed) = state.cut_at_write;
        state.cut_at_write.0 = left.saturating_sub(1);
        if left == 1 {
            state.power_off(seed);
            return reply.error(IO_ERROR);
        }
        reply.written(u32::try_from(bytes.len()).unwrap_or(0));
    }

    fn fsync(&mut self, _: &Request<'_>, _: u64, _: u64, _: bool, reply: ReplyEmpty) {
        let mut state = self.state();
        let state = &mut *state;
        state.syncs += 1;
        let broken = State::breaks(&mut state.breaks_at_sync, &mut state.broken);
        if state.off || broken {
            return reply.error(IO_ERROR);
        }
        if !state.lies {
            state.sync();
        }
        reply.ok();
    }
}

/// An ext4 on a fault disk.
#[derive(Debug)]
pub struct Mounted {
    /// What it stands on.
    pub disk: FaultDisk,
    folder: PathBuf,
    mounted: bool,
}

impl Mounted {
    /// Makes disk and file system, in two folders below this one.
    ///
    /// # Errors
    /// Why this machine does not permit it.
    pub fn new(below: &Path, bytes: usize) -> Result<Self, String> {
        let disk = FaultDisk::new(&below.join("disk"), bytes)?;
        let image = disk.folder.join(IMAGE);
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-F".as_ref(), image.as_os_str()],
        )?;
        let folder = below.join("files");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut made = Self {
            disk,
            folder,
            mounted: false,
        };
        made.mount()?;
        Ok(made)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Mounts it, which repeats its own journal.
    ///
    /// # Errors
    /// What the system said.
    pub fn mount(&mut self) -> Result<(), String> {
        let image = self.disk.folder.join(IMAGE);
        let options: [&OsStr; 4] = ["-t", "ext4", "-o", "loop"].map(OsStr::new);
        let mut all = options.to_vec();
        all.extend([image.as_os_str(), self.folder.as_os_str()]);
        run("mount", &all)?;
        self.mounted = true;
        Ok(())
    }

    /// Takes it off; what is not written yet is written if the disk takes it.
    ///
    /// # Errors
    /// What the system said.
    pub fn unmount(&mut self) -> Result<(), String> {
        self.mounted = false;
        // The kernel lets go of a dead process's ring, and of the files in it, some time after its end.
        let mut tries = 0;
        loop {
            match run("umount", &[&self.folder]) {
                Err(why) if why.contains("busy") && tries < 600 => tries += 1,
                done => return done,
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has everything written so far on the disk.
    ///
    /// # Errors
    /// What the system said.
    pub fn sync(&self) -> Result<(), String> {
        run("sync", &["-f".as_ref(), self.folder.as_os_str()])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            // Nothing can be done about a failure here; the next test uses another folder.
            drop(self.unmount());
        }
    }
}

fn run(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("{program}: {}", said.trim()))
}
