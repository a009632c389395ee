//! One table as a Parquet file: some rows gathered in memory, then a row group.

use std::{fs::File, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use parquet::{
    basic::Encoding,
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

/// Rows of a row group: what is held in memory.
const ROWS: usize = 1 << 16;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An unsigned number that names something.
    Id,
    /// The same, where there may be none.
    MaybeId,
    /// A signed number.
    Number,
    /// Nanoseconds since 1970, UTC.
    Time,
    /// One of a few words.
    Word,
}

impl Kind {
    fn field(self, name: &str) -> String {
        match self {
            Self::Id => format!("required int64 {name} (INTEGER(64,false));"),
            Self::MaybeId => format!("optional int64 {name} (INTEGER(64,false));"),
            Self::Number => format!("required int64 {name} (INTEGER(64,true));"),
            Self::Time => format!("required int64 {name} (TIMESTAMP(NANOS,true));"),
            Self::Word => format!("required binary {name} (STRING);"),
        }
    }

    fn column(self) -> Column {
        match self {
            Self::Word => Column::Words(Vec::new()),
            Self::MaybeId => Column::Maybe(Vec::new(), Vec::new()),
            Self::Id | Self::Number | Self::Time => Column::Numbers(Vec::new()),
        }
    }
}

/// One value.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Number(i64),
    Maybe(Option<i64>),
    Word(ByteArray),
}

enum Column {
    Numbers(Vec<i64>),
    /// Those that are there, and for each row whether it has one.
    Maybe(Vec<i64>, Vec<i16>),
    Words(Vec<ByteArray>),
}

/// A file that goes away with its owner, unless it is kept.
struct Aside {
    path: PathBuf,
    kept: bool,
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.kept {
            // A half-made file that stays behind is replaced the next time.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// A table that is being written, under another name.
pub(super) struct Table {
    path: PathBuf,
    aside: Aside,
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    gathered: usize,
    rows: u64,
}

/// A table that is whole and on the disk, still under another name.
pub(super) struct Whole {
    path: PathBuf,
    aside: Aside,
    rows: u64,
}

impl Table {
    pub(super) fn create(path: PathBuf, fields: &[(&str, Kind)]) -> Result<Self> {
        let aside = Aside {
            path: path.with_extension("parquet.tmp"),
            kept: false,
        };
        let list: String = fields.iter().map(|(name, kind)| kind.field(name)).collect();
        let schema = parse_message_type(&format!("message journal {{ {list} }}"))?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("hashpit ", env!("CARGO_PKG_VERSION")).into())
            .set_statistics_enabled(EnabledStatistics::Chunk);
        for (name, kind) in fields {
            // Numbers that grow take little room as differences, words as places in a list.
            if *kind != Kind::Word {
                properties = properties
                    .set_column_dictionary_enabled(ColumnPath::from(*name), false)
                    .set_column_encoding(ColumnPath::from(*name), Encoding::DELTA_BINARY_PACKED);
            }
        }
        let file = File::create(&aside.path)
            .with_context(|| format!("cannot create {}", aside.path.display()))?;
        let writer =
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
                .with_context(|| format!("cannot write {}", aside.path.display()))?;
        Ok(Self {
            path,
            aside,
            writer,
            columns: fields.iter().map(|(_, kind)| kind.column()).collect(),
            gathered: 0,
            rows: 0,
        })
    }

    /// Adds a row, one cell for each column.
    pub(super) fn row<const CELLS: usize>(&mut self, cells: [Cell; CELLS]) -> Result<()> {
        ensure!(self.columns.len() == CELLS, "one cell per column");
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            match (column, cell) {
                (Column::Numbers(values), Cell::Number(value)) => values.push(value),
                (Column::Words(values), Cell::Word(value)) => values.push(value),
                (Column::Maybe(values, there), Cell::Maybe(value)) => {
                    there.push(value.is_some().into());
                    values.extend(value);
                }
                (_, cell) => anyhow::bail!("{cell:?} is in the wrong column"),
            }
        }
        self.gathered += 1;
        if self.gathered == ROWS {
            self.write()?;
        }
        Ok(())
    }

    /// What was gathered becomes a row group.
    fn write(&mut self) -> Result<()> {
        if self.gathered == 0 {
            return Ok(());
        }
        let name = || format!("cannot write {}", self.aside.path.display());
        let mut group = self.writer.next_row_group().with_context(name)?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column().with_context(name)? else {
                break;
            };
            match column {
                Column::Numbers(values) => {
                    let typed = writer.typed::<Int64Type>();
                    typed.write_batch(values, None, None).with_context(name)?;
                    values.clear();
                }
                Column::Maybe(values, there) => {
                    let typed = writer.typed::<Int64Type>();
                    typed
                        .write_batch(values, Some(there), None)
                        .with_context(name)?;
                    values.clear();
                    there.clear();
                }
                Column::Words(values) => {
                    let typed = writer.typed::<ByteArrayType>();
                    typed.write_batch(values, None, None).with_context(name)?;
                    values.clear();
                }
            }
            writer.close().with_context(name)?;
        }
        group.close().with_context(name)?;
        self.rows += self.gathered as u64;
        self.gathered = 0;
        Ok(())
    }

    /// Writes the rest, and waits until the disk has it.
    pub(super) fn finish(mut self) -> Result<Whole> {
        self.write()?;
        let Self {
            path,
            aside,
            writer,
            rows,
            ..
        } = self;
        let name = || format!("cannot write {}", aside.path.display());
        let file = writer.into_inner().with_context(name)?;
        file.sync_all().with_context(name)?;
        Ok(Whole { path, aside, rows })
    }
}

impl Whole {
    /// Gives the file its name; answers its rows.
    pub(super) fn keep(mut self) -> Result<u64> {
        std::fs::rename(&self.aside.path, &self.path)
            .with_context(|| format!("cannot rename {}", self.aside.path.display()))?;
        self.aside.kept = true;
        Ok(self.rows)
    }
}
