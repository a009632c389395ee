//! Names in folders, and which of their changes reach the platters together.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::disk::FileId;

/// Of the names in folders.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Create(PathBuf, FileId),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    /// The folders that it happens in.
    pub(super) fn folders(&self) -> [Option<&Path>; 2] {
        match self {
            Self::Create(path, _) | Self::Remove(path) => [path.parent(), None],
            Self::Rename(from, to) => [from.parent(), to.parent()],
        }
    }

    /// Whether it happens in one of them.
    pub(super) fn touches(&self, folders: &BTreeSet<PathBuf>) -> bool {
        let mut own = self.folders().into_iter().flatten();
        own.any(|folder| folders.contains(folder))
    }
}

/// A folder and those that share a change of names with it: they reach the platters together.
pub(super) fn bound_together(changes: &[NameChange], dir: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::from([dir.to_owned()]);
    loop {
        let known = folders.len();
        for one in changes {
            if one.touches(&folders) {
                folders.extend(one.folders().into_iter().flatten().map(Path::to_owned));
            }
        }
        if folders.len() == known {
            return folders;
        }
    }
}

/// Makes it so.
pub(super) fn change(names: &mut BTreeMap<PathBuf, FileId>, change: &NameChange) {
    match change {
        NameChange::Create(path, id) => {
            names.insert(path.clone(), *id);
        }
        NameChange::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
    }
}
