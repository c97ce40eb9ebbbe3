//! A disk in memory whose power can be cut, and which can refuse to write or to sync.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use shortleaf::store::redb::Backends;

use crate::samples::Chance;

/// What a drive writes as one: it is there or it is not.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct State {
    /// What survives: everything up to the last sync.
    durable: Vec<u8>,
    /// What is read: with everything written since.
    volatile: Vec<u8>,
    /// Written since the last sync, in order.
    unsynced: Vec<Change>,
    /// Operations until the power goes; none = it stays.
    power_for: Option<u64>,
    refuse_writes: bool,
    refuse_syncs: bool,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>, mut keep_sector: impl FnMut() -> bool) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write(offset, data) => {
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    let start = offset + index * SECTOR;
                    if keep_sector() {
                        if image.len() < start + sector.len() {
                            image.resize(start + sector.len(), 0);
                        }
                        image[start..start + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
    }
}

/// Handles share one disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn backends(&self) -> Backends {
        let disk = self.clone();
        Box::new(move || Ok(Box::new(disk.clone())))
    }

    pub(crate) fn cut_power_after(&self, operations: u64) {
        self.0.lock().unwrap().power_for = Some(operations);
    }

    pub(crate) fn refuse_writes(&self, refuse: bool) {
        self.0.lock().unwrap().refuse_writes = refuse;
    }

    pub(crate) fn refuse_syncs(&self, refuse: bool) {
        self.0.lock().unwrap().refuse_syncs = refuse;
    }

    /// The power is back. Of what was not synced each sector is there or not, as chance has it;
    /// one time in four all of it, one time in four none.
    pub(crate) fn restore_power(&self, chance: &Chance) {
        let mut state = self.0.lock().unwrap();
        let state = &mut *state;
        let mood = chance.below(4);
        for change in state.unsynced.drain(..) {
            change.apply(&mut state.durable, || match mood {
                0 => true,
                1 => false,
                _ => chance.below(2) == 0,
            });
        }
        state.volatile = state.durable.clone();
        state.power_for = None;
    }

    fn spend(state: &mut State) -> io::Result<()> {
        match &mut state.power_for {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let state = &mut *state;
        if state.refuse_writes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if matches!(state.power_for, Some(0)) {
            return Err(io::Error::other("no power"));
        }
        change.apply(&mut state.volatile, || true);
        state.unsynced.push(change);
        Self::spend(state)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().volatile.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.volatile.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let state = &mut *state;
        if state.refuse_syncs {
            return Err(io::Error::other("the disk does not sync"));
        }
        Self::spend(state)?;
        for change in state.unsynced.drain(..) {
            change.apply(&mut state.durable, || true);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.change(Change::Write(offset, data.to_vec()))
    }
}
