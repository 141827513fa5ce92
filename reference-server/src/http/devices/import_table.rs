//! The table of devices to import: what is read of it, and where its faults are.

use std::collections::HashMap;

use identity_challenge::{BindingRule, DeviceBinding, DeviceClass, Error as ChallengeError};

use crate::http::text::Line;

/// The most devices of one table: they are registered in one transaction.
pub(super) const MAX_ROWS: usize = 1000;

/// So many faults are told.
pub(super) const MAX_FAULTS: usize = 50;

/// A device of a table.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) serial: String,
    pub(super) device_name: String,
    pub(super) location: Option<String>,
    pub(super) binding: DeviceBinding,
}

/// What is wrong with a table, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `rows[2].serial`, or what of it there is to name. The header is row 1.
    pub(super) place: String,
    pub(super) reason: String,
}

fn fault(place: impl Into<String>, reason: impl Into<String>) -> Fault {
    Fault {
        place: place.into(),
        reason: reason.into(),
    }
}

/// The columns that there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Serial,
    DeviceName,
    Location,
    DeviceClass,
    BoundProduct,
    BoundAction,
}

impl Column {
    const ALL: [Self; 6] = [
        Self::Serial,
        Self::DeviceName,
        Self::Location,
        Self::DeviceClass,
        Self::BoundProduct,
        Self::BoundAction,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::DeviceName => "device_name",
            Self::Location => "location",
            Self::DeviceClass => "device_class",
            Self::BoundProduct => "bound_product",
            Self::BoundAction => "bound_action",
        }
    }

    fn is_needed(self) -> bool {
        matches!(self, Self::Serial | Self::DeviceName)
    }
}

/// Reads a table. Spreadsheets may put a byte order mark before it, and white space is none of a cell.
pub(super) fn read(table: &[u8]) -> Result<Vec<Row>, Vec<Fault>> {
    let table = table.strip_prefix(b"\xef\xbb\xbf").unwrap_or(table);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(table);
    let columns = match reader.headers() {
        Ok(header) => columns(header)?,
        Err(error) => return Err(vec![fault("rows[1]", broken(&error))]),
    };
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut serials = HashMap::new();
    for (number, record) in (2_usize..).zip(reader.records()) {
        if number > MAX_ROWS + 1 {
            faults.push(fault("rows", format!("must be at most {MAX_ROWS} devices")));
            break;
        }
        let at = |column: Column| format!("rows[{number}].{}", column.name());
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                faults.push(fault(format!("rows[{number}]"), broken(&error)));
                break;
            }
        };
        let cells = Cells {
            columns: &columns,
            record: &record,
        };
        match cells.row() {
            Ok(row) => {
                if let Some(earlier) = serials.insert(row.serial.clone(), number) {
                    let reason = format!("is the serial number of row {earlier} too");
                    faults.push(fault(at(Column::Serial), reason));
                }
                rows.push(row);
            }
            Err(found) => {
                let found = found.into_iter();
                faults.extend(found.map(|(column, reason)| fault(at(column), reason)));
            }
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push(fault("rows", "must be at least one device"));
    }
    faults.truncate(MAX_FAULTS);
    if faults.is_empty() {
        Ok(rows)
    } else {
        Err(faults)
    }
}

/// Which column each place has.
fn columns(header: &csv::StringRecord) -> Result<Vec<Column>, Vec<Fault>> {
    let (mut columns, mut faults) = (Vec::new(), Vec::new());
    for name in header {
        if faults.len() == MAX_FAULTS {
            break;
        }
        match Column::ALL.into_iter().find(|column| column.name() == name) {
            Some(column) if columns.contains(&column) => {
                faults.push(fault(format!("rows[1].{name}"), "is there twice"));
            }
            Some(column) => columns.push(column),
            None => {
                let known = Column::ALL.map(Column::name).join(", ");
                let shown: String = name.chars().take(64).collect();
                let reason =
                    format!("{shown:?} is no column: there are {known}, set off by commas");
                faults.push(fault("rows[1]", reason));
            }
        }
    }
    let needed = Column::ALL.into_iter().filter(|column| column.is_needed());
    for column in needed.filter(|column| !columns.contains(column)) {
        faults.push(fault(format!("rows[1].{}", column.name()), "is missing"));
    }
    faults.truncate(MAX_FAULTS);
    if faults.is_empty() {
        Ok(columns)
    } else {
        Err(faults)
    }
}

/// Why a row cannot be read at all.
fn broken(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} cells, and the header {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        _ => "is no CSV".to_owned(),
    }
}

/// The cells of a row.
struct Cells<'a> {
    columns: &'a [Column],
    record: &'a csv::StringRecord,
}

impl Cells<'_> {
    /// The cell, if there is anything in it.
    fn get(&self, column: Column) -> Option<&str> {
        let place = self.columns.iter().position(|known| *known == column)?;
        self.record.get(place).filter(|cell| !cell.is_empty())
    }

    fn line<const MAX: usize>(&self, column: Column) -> Result<Option<String>, (Column, String)> {
        let line = self
            .get(column)
            .map(|cell| Line::<MAX>::try_from(cell.to_owned()));
        let line = line
            .transpose()
            .map_err(|error| (column, error.to_string()))?;
        Ok(line.map(Line::into_string))
    }

    fn needed<const MAX: usize>(&self, column: Column) -> Result<String, (Column, String)> {
        let line = self.line::<MAX>(column)?;
        line.ok_or_else(|| (column, "is missing".to_owned()))
    }

    fn binding(&self) -> Result<DeviceBinding, (Column, String)> {
        let class = match self.get(Column::DeviceClass) {
            Some(cell) => cell.parse().map_err(|_| {
                let known = "must be personal_scanner, pos, gate or kiosk";
                (Column::DeviceClass, known.to_owned())
            })?,
            None => DeviceClass::PersonalScanner,
        };
        let product = self.get(Column::BoundProduct);
        let action = self.get(Column::BoundAction);
        DeviceBinding::new(class, product, action).map_err(|error| {
            let of_action = match &error {
                ChallengeError::Binding(
                    BindingRule::Required { member, .. } | BindingRule::Key { member, .. },
                ) => *member == Column::BoundAction.name(),
                _ => product.is_none(),
            };
            let column = if of_action {
                Column::BoundAction
            } else {
                Column::BoundProduct
            };
            let reason = match error {
                ChallengeError::Binding(rule) => rule.to_string(),
                other => other.to_string(),
            };
            (column, reason)
        })
    }

    /// The device, or everything that is wrong with it.
    fn row(&self) -> Result<Row, Vec<(Column, String)>> {
        let serial = self.needed::<128>(Column::Serial);
        let device_name = self.needed::<128>(Column::DeviceName);
        let location = self.line::<256>(Column::Location);
        let binding = self.binding();
        match (serial, device_name, location, binding) {
            (Ok(serial), Ok(device_name), Ok(location), Ok(binding)) => Ok(Row {
                serial,
                device_name,
                location,
                binding,
            }),
            (serial, device_name, location, binding) => {
                let found = [
                    serial.err(),
                    device_name.err(),
                    location.err(),
                    binding.err(),
                ];
                Err(found.into_iter().flatten().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(table: impl AsRef<[u8]>) -> Vec<(String, String)> {
        let faults = read(table.as_ref()).expect_err("refused").into_iter();
        faults.map(|fault| (fault.place, fault.reason)).collect()
    }

    fn places(table: impl AsRef<[u8]>) -> Vec<String> {
        faults(table).into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn a_table_is_read_whatever_its_order_and_its_line_ends() {
        let scanner = Row {
            serial: "SN-1".to_owned(),
            device_name: "Front, desk".to_owned(),
            location: None,
            binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
        };
        for table in [
            "serial,device_name\nSN-1,\"Front, desk\"\n",
            "\u{feff}device_name,serial\r\n\"Front, desk\", SN-1 \r\n",
            "location,device_name,device_class,serial\n,\"Front, desk\",,SN-1",
        ] {
            let rows = read(table.as_bytes()).unwrap();
            assert_eq!(rows, std::slice::from_ref(&scanner), "{table:?}");
        }
        let gate =
            "serial,device_name,device_class,bound_product,bound_action\nS,G,gate,access,enter";
        let rows = read(gate.as_bytes()).unwrap();
        assert_eq!(rows[0].binding.product(), Some("access"));
    }

    #[test]
    fn each_fault_names_its_row_and_column() {
        let head = "serial,device_name,device_class,bound_product,bound_action\n";
        for (row, column) in [
            (",A,,,", "serial"),
            ("S,,,,", "device_name"),
            ("S,A,toaster,,", "device_class"),
            ("S,A,,wallet,", "bound_product"),
            ("S,A,,,enter", "bound_action"),
            ("S,A,gate,,", "bound_product"),
            ("S,A,gate,access,", "bound_action"),
            ("S,A,kiosk,a b,", "bound_product"),
            ("\"S\nT\",A,,,", "serial"),
            ("T,A,,,", "serial"),
        ] {
            let table = format!("{head}T,B,,,\n{row}\n");
            assert_eq!(places(&table), [format!("rows[3].{column}")], "{row}");
        }
        let two = places(format!("{head},,,,\nS,A,,,\n"));
        assert_eq!(two, ["rows[2].serial", "rows[2].device_name"]);
    }

    #[test]
    fn what_is_no_such_table_is_refused() {
        assert_eq!(places(""), ["rows[1].serial", "rows[1].device_name"]);
        assert_eq!(places("serial,device_name\n"), ["rows"]);
        assert_eq!(places("serial,device_name,color\nS,A,red\n"), ["rows[1]"]);
        assert_eq!(
            places("serial,device_name,serial\nS,A,T\n"),
            ["rows[1].serial"]
        );
        assert_eq!(places("serial,device_name\nS,A\nT\n"), ["rows[3]"]);
        assert_eq!(places(b"serial,device_name\nS,\xff\n"), ["rows[2]"]);
        let semicolons = faults("serial;device_name\nS;A\n");
        assert!(
            semicolons[0].1.contains("set off by commas"),
            "{semicolons:?}"
        );
    }

    #[test]
    fn a_table_has_its_limits() {
        let table = |rows: usize| {
            let rows = (0..rows).map(|row| format!("S{row},A\n"));
            format!("serial,device_name\n{}", rows.collect::<String>())
        };
        assert_eq!(read(table(MAX_ROWS).as_bytes()).unwrap().len(), MAX_ROWS);
        assert_eq!(places(table(MAX_ROWS + 1)), ["rows"]);
        let bad = format!("serial,device_name\n{}", ",\n".repeat(MAX_ROWS));
        assert_eq!(places(bad).len(), MAX_FAULTS);
        assert_eq!(places(",".repeat(100_000)).len(), MAX_FAULTS);
    }
}
