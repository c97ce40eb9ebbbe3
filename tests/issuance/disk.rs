//! A disk in memory with the store's two files, whose power can be cut, and which can refuse to
//! write or to sync.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use shortleaf::store::redb::Backends;

use crate::samples::Chance;

/// What a drive writes as one: it is there or it is not.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct State {
    files: [Contents; 2],
    /// Operations until the power goes; none = it stays.
    power_for: Option<u64>,
    refuse_writes: bool,
    refuse_syncs: bool,
    hold_syncs: bool,
}

#[derive(Debug, Default)]
struct Contents {
    /// What survives: everything up to the last sync.
    durable: Vec<u8>,
    /// What is read: with everything written since.
    volatile: Vec<u8>,
    /// Written since the last sync, in order.
    unsynced: Vec<Change>,
}

/// What comes of a file's changes that were not synced when the power went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    All,
    Nothing,
    /// Each sector as chance has it.
    Torn,
}

const TABLES: usize = 0;
const JOURNAL: usize = 1;

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

/// One file of it.
#[derive(Clone, Debug)]
struct OnDisk {
    disk: Disk,
    file: usize,
}

impl Disk {
    /// With these contents, durable.
    pub(crate) fn holding(tables: &[u8], journal: &[u8]) -> Self {
        let contents = |bytes: &[u8]| Contents {
            durable: bytes.to_vec(),
            volatile: bytes.to_vec(),
            unsynced: Vec::new(),
        };
        Self(Arc::new(Mutex::new(State {
            files: [contents(tables), contents(journal)],
            ..State::default()
        })))
    }

    pub(crate) fn tables(&self) -> Backends {
        self.file(TABLES)
    }

    pub(crate) fn journal(&self) -> Backends {
        self.file(JOURNAL)
    }

    fn file(&self, file: usize) -> Backends {
        let disk = self.clone();
        Box::new(move || {
            let disk = disk.clone();
            Ok(Box::new(OnDisk { disk, file }))
        })
    }

    /// What would be left of tables and journal if the power went now.
    pub(crate) fn durable(&self) -> [Vec<u8>; 2] {
        let state = self.0.lock().unwrap();
        [TABLES, JOURNAL].map(|file| state.files[file].durable.clone())
    }

    /// Octets written to the journal, durable or not.
    pub(crate) fn journal_length(&self) -> usize {
        self.0.lock().unwrap().files[JOURNAL].volatile.len()
    }

    /// Whether the power is gone.
    pub(crate) fn is_dark(&self) -> bool {
        matches!(self.0.lock().unwrap().power_for, Some(0))
    }

    pub(crate) fn cut_power_after(&self, operations: u64) {
        self.0.lock().unwrap().power_for = Some(operations);
    }

    pub(crate) fn refuse_writes(&self, refuse: bool) {
        self.0.lock().unwrap().refuse_writes = refuse;
    }

    /// While held, a sync does not return.
    pub(crate) fn hold_syncs(&self, hold: bool) {
        self.0.lock().unwrap().hold_syncs = hold;
    }

    pub(crate) fn refuse_syncs(&self, refuse: bool) {
        self.0.lock().unwrap().refuse_syncs = refuse;
    }

    /// The power is back. Of what was not synced each sector is there or not, as chance has it;
    /// for each file one time in four all of it, one time in four none.
    pub(crate) fn restore_power(&self, chance: &Chance) {
        let mood = || match chance.below(4) {
            0 => Mood::All,
            1 => Mood::Nothing,
            _ => Mood::Torn,
        };
        let moods = [mood(), mood()];
        self.restore_power_with(moods, chance);
    }

    /// The same with what comes of tables and journal given.
    pub(crate) fn restore_power_with(&self, moods: [Mood; 2], chance: &Chance) {
        let mut state = self.0.lock().unwrap();
        for (file, mood) in state.files.iter_mut().zip(moods) {
            for change in file.unsynced.drain(..) {
                // The length is set before data is written to where it leads.
                let lost = matches!(mood, Mood::Nothing);
                if matches!(change, Change::Length(_)) && lost {
                    continue;
                }
                change.apply(&mut file.durable, || match mood {
                    Mood::All => true,
                    Mood::Nothing => false,
                    Mood::Torn => chance.below(2) == 0,
                });
            }
            file.volatile = file.durable.clone();
        }
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

    fn change(&self, file: usize, change: Change) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let state = &mut *state;
        if state.refuse_writes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if matches!(state.power_for, Some(0)) {
            return Err(io::Error::other("no power"));
        }
        change.apply(&mut state.files[file].volatile, || true);
        state.files[file].unsynced.push(change);
        Self::spend(state)
    }
}

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().unwrap().files[self.file].volatile.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.files[self.file]
            .volatile
            .get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = Change::Length(usize::try_from(len).unwrap());
        self.disk.change(self.file, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        while self.disk.0.lock().unwrap().hold_syncs {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut state = self.disk.0.lock().unwrap();
        let state = &mut *state;
        if state.refuse_syncs {
            return Err(io::Error::other("the disk does not sync"));
        }
        Disk::spend(state)?;
        let file = &mut state.files[self.file];
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable, || true);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.disk
            .change(self.file, Change::Write(offset, data.to_vec()))
    }
}
