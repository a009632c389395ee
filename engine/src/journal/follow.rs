//! Reads on where a reading ended, again and again, while the journal is being written.
//!
//! Only blocks that a later block proves durable are handed out, so nothing that a crash could take back
//! is ever seen; the writer's watermark follows within about 10 ms of quiet. Changes nothing and takes no
//! lock, so that another process can do it.

use std::path::PathBuf;
use std::sync::Arc;

use super::disk::Disk;
use super::error::JournalError;
use super::limits::BLOCKS_IN_FLIGHT_MAX;
use super::place::{Place, Position, Verdict};
use super::reader::{self, Reader};
use super::{BlockView, segment};

/// Blocks looked at before the first of them is handed out. More than can be uncertain, so that on a busy
/// journal most blocks of a look are proven.
const LOOK: u64 = 16 * BLOCKS_IN_FLIGHT_MAX;

/// A reader that follows a journal. See the module's page.
#[derive(Debug)]
pub struct Follow {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    at: Place,
}

impl Follow {
    /// Stands at `from`, or at the very beginning.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], or a refusal if the segment to read from is not there.
    pub fn start(
        disk: Arc<dyn Disk>,
        dir: impl Into<PathBuf>,
        from: Option<&Position>,
    ) -> Result<Self, JournalError> {
        let dir = dir.into();
        let Some(folder) = segment::list(&*disk, &dir)? else {
            return Err(JournalError::NoJournal { dir });
        };
        let at = reader::beginning(&*disk, &dir, &folder, 0, from)?;
        Ok(Self { disk, dir, at })
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.at.clone())
    }

    /// Hands out the blocks that are proven durable by now, some at a time. Answers whether there were any.
    ///
    /// # Errors
    /// A block that is not the next one, the system's errors, and the visitor's. Damage is not judged
    /// here: behind a bad block there is simply nothing; [`scan`](super::scan) says what it is.
    pub fn turn(
        &mut self,
        mut visit: impl FnMut(BlockView<'_>) -> Result<(), String>,
    ) -> Result<bool, JournalError> {
        let proven = self.proven()?;
        if proven < self.at.next_block {
            return Ok(false);
        }
        let mut reader = Reader::at(&*self.disk, &self.dir, self.at.clone())?;
        while reader.at.next_block <= proven {
            match reader.next_anywhere()? {
                Ok(header) => reader.accept(&header, &mut visit)?,
                Err(Verdict::Wrong(reason)) => return Err(reader.refusal(reason)),
                // Proven a moment ago: somebody changes the files under us. The next turn looks again.
                Err(Verdict::Bad(_)) => break,
            }
            self.at = reader.at.clone();
        }
        Ok(true)
    }

    /// The last block that a block seen now says was durable.
    fn proven(&self) -> Result<u64, JournalError> {
        let mut reader = Reader::at(&*self.disk, &self.dir, self.at.clone())?;
        let mut proven = 0;
        for _ in 0..LOOK {
            match reader.next_anywhere()? {
                Ok(header) => {
                    proven = proven.max(header.durable_block);
                    reader.accept(&header, &mut |_| Ok(()))?;
                }
                // Behind unproven blocks anything may come: a recovery may be replacing them just now.
                Err(Verdict::Wrong(reason)) if reader.at.next_block == self.at.next_block => {
                    return Err(reader.refusal(reason));
                }
                Err(_) => break,
            }
        }
        Ok(proven)
    }
}
