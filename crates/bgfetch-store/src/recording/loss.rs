//! How much a crash loses.

/// How much of what was recorded a crash loses. Everything random depends only on the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process dies. The system lives on, so nothing is lost.
    Process,
    /// The power fails, and only what was synced is left. As on most file systems in practice, the
    /// sync of a file or a directory brings the directories that lead to it to disk, too.
    Unsynced,
    /// The same, but names are only left if their directory itself was synced, as POSIX allows.
    UnsyncedAndNames,
    /// The power fails, and the file system has a journal, like
    /// [ext4](https://docs.kernel.org/admin-guide/ext4.html) with `data=ordered`.
    ///
    /// Operations on names and lengths (creating, linking, renaming, removing, truncating) reach
    /// the disk in their order, up to a random point. A sync of a file or a directory moves that
    /// point beyond the last such operation on it. The bytes that were written to a file since its
    /// last sync reach the disk in their order, too, but independently of the journal: with delayed
    /// allocation, a file has its new length when its bytes are on disk. What was written after a
    /// truncation that is not in the journal is lost.
    ///
    /// ext4 itself keeps more: it writes the bytes of a file that is renamed over another one first
    /// (`auto_da_alloc`). That can be switched off, so it is not relied on.
    Journal {
        /// Determines the random points.
        seed: u64,
    },
    /// The power fails, and a random part of what was not synced is left, regardless of any order.
    /// Only a move to another directory is left as a whole or not at all.
    /// Writes are torn where the offset in the file is a multiple of `sector`.
    Torn {
        /// A power of two.
        sector: u64,
        /// Determines what is left.
        seed: u64,
    },
}

impl Loss {
    /// Each kind of loss, with this seed.
    #[must_use]
    pub fn each(seed: u64) -> [Self; 6] {
        [
            Self::Process,
            Self::Unsynced,
            Self::UnsyncedAndNames,
            Self::Journal { seed },
            Self::Torn { sector: 512, seed },
            Self::Torn { sector: 4096, seed },
        ]
    }

    /// What the loss is called in the output of tests.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Unsynced => "unsynced",
            Self::UnsyncedAndNames => "names",
            Self::Journal { .. } => "journal",
            Self::Torn { .. } => "torn",
        }
    }

    pub(super) fn coin(self) -> Coin {
        match self {
            Self::Journal { seed } | Self::Torn { seed, .. } => Coin(seed),
            Self::Process | Self::Unsynced | Self::UnsyncedAndNames => Coin(0),
        }
    }
}

/// Random numbers (SplitMix64), the same for the same seed.
#[derive(Debug)]
pub(super) struct Coin(pub(super) u64);

impl Coin {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// A number from `first` to `last`, both included.
    pub(super) fn number(&mut self, first: usize, last: usize) -> usize {
        let many = (last - first + 1) as u64;
        first + usize::try_from(self.next() % many).unwrap()
    }
}
