//! How far a long reading is, on standard error.

use std::{
    fs::File,
    io::{IsTerminal, Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use engine::journal::BlockView;

/// At most one line in this time, on a terminal.
const LINE: Duration = Duration::from_secs(1);
/// Elsewhere, a line each time so many commands have been executed.
const STEP: u64 = 1_000_000;

/// Counts what was executed.
pub(super) struct Progress {
    began: Instant,
    told: Instant,
    on_terminal: bool,
    /// Commands executed.
    pub(super) commands: u64,
    /// Number of the first segment, bytes of each, and bytes in use of all.
    extent: Option<(u64, u64, u64)>,
    at: u64,
}

impl Progress {
    /// Of a reading of this journal folder.
    pub(super) fn new(folder: &Path) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            told: now,
            on_terminal: std::io::stderr().is_terminal(),
            commands: 0,
            // It is only for show: what cannot be measured is left out.
            extent: extent(folder).ok(),
            at: 0,
        }
    }

    /// Reading stands at this block.
    pub(super) fn stands_at(&mut self, block: &BlockView<'_>) {
        let id = number(block.segment);
        if let (Some((first, bytes, _)), Some(id)) = (self.extent, id) {
            self.at = id.saturating_sub(first) * bytes + block.offset;
        }
    }

    /// One more command was executed.
    pub(super) fn command(&mut self) {
        self.commands += 1;
        if self.on_terminal {
            // The clock is asked now and then only.
            if self.commands.is_multiple_of(1 << 12) && self.told.elapsed() >= LINE {
                self.told = Instant::now();
                eprint!("\r{}", self.line());
            }
        } else if self.commands.is_multiple_of(STEP) {
            eprintln!("{}", self.line());
        }
    }

    /// The end of the reading.
    pub(super) fn end(&self) {
        let start = if self.on_terminal { "\r" } else { "" };
        // Longer than what it may stand over.
        eprintln!("{start}{} in all        ", self.rate());
    }

    fn line(&self) -> String {
        let part = match self.extent {
            // A live exchange writes on behind what was measured.
            Some((_, _, all)) if all > 0 => format!("{:3} %, ", (self.at * 100 / all).min(100)),
            _ => String::new(),
        };
        format!("{part}{}", self.rate())
    }

    fn rate(&self) -> String {
        let took = self.began.elapsed().as_micros().max(1);
        let rate = u128::from(self.commands) * 1_000_000 / took;
        format!("{} commands, {rate} commands/s", self.commands)
    }
}

/// First segment, bytes of a segment, and bytes in use: segments are zero-written ahead.
fn extent(folder: &Path) -> std::io::Result<(u64, u64, u64)> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        ids.extend(number(&entry?.path()));
    }
    ids.sort_unstable();
    let first = ids.first().copied().unwrap_or(1);
    let segment = |id: u64| File::open(folder.join(format!("{id:08}.seg")));
    let bytes = segment(first)?.metadata()?.len();
    for id in ids.iter().rev() {
        if let Some(used) = used(&mut segment(*id)?, bytes)? {
            return Ok((first, bytes, (id - first) * bytes + used));
        }
    }
    Ok((first, bytes, 0))
}

/// The end of what is in use, looked for from behind.
fn used(file: &mut File, bytes: u64) -> std::io::Result<Option<u64>> {
    let mut chunk = vec![0; 1 << 20];
    let mut end = bytes;
    while end > 0 {
        let now = end.min(chunk.len() as u64);
        let part = &mut chunk[..now as usize];
        file.seek(SeekFrom::Start(end - now))?;
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            return Ok(Some(end - now + last as u64 + 1));
        }
        end -= now;
    }
    Ok(None)
}

fn number(segment: &Path) -> Option<u64> {
    if segment.extension().is_none_or(|end| end != "seg") {
        return None;
    }
    segment.file_stem()?.to_str()?.parse().ok()
}
