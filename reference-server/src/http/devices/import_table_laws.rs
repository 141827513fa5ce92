//! What holds of a table to import, whatever its bytes: asked of a corpus, of tables that are made up, and
//! by the fuzz target `import_table`.

use super::import_table::{MAX_FAULTS, MAX_ROWS, Row, read};

/// The longest reason, in bytes.
const MAX_REASON: usize = 1024;

/// Reads a table; whether it is one. What is read is within the limits, and of it the same table can be
/// made anew; what is refused is told shortly, and where.
pub(crate) fn hold(table: &[u8]) -> bool {
    match read(table) {
        Ok(rows) => {
            assert!((1..=MAX_ROWS).contains(&rows.len()));
            assert_eq!(read(written(&rows).as_bytes()).as_ref(), Ok(&rows));
            true
        }
        Err(faults) => {
            assert!((1..=MAX_FAULTS).contains(&faults.len()));
            for fault in faults {
                assert!(fault.place.starts_with("rows"), "{fault:?}");
                let is_line = !fault.reason.chars().any(char::is_control);
                assert!(is_line && fault.reason.len() <= MAX_REASON, "{fault:?}");
            }
            false
        }
    }
}

fn written(rows: &[Row]) -> String {
    let head = "device_class,bound_action,bound_product,location,device_name,serial\n";
    let lines = rows.iter().map(|row| {
        let cells = [
            row.binding.class().as_str(),
            row.binding.action().unwrap_or_default(),
            row.binding.product().unwrap_or_default(),
            row.location.as_deref().unwrap_or_default(),
            &row.device_name,
            &row.serial,
        ];
        let quoted = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        quoted.join(",") + "\n"
    });
    head.to_owned() + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

    use super::*;

    #[test]
    fn the_corpus_is_read_and_its_tables_are_known() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/import_table");
        let mut tables = Vec::new();
        for entry in fs::read_dir(corpus).expect("a corpus") {
            let file = entry.expect("an entry").path();
            if hold(&fs::read(&file).expect("an input")) {
                let name = file.file_name().expect("a name");
                tables.push(name.to_string_lossy().into_owned());
            }
        }
        tables.sort();
        let good = [
            "a_formula",
            "blank_lines",
            "byte_order_mark",
            "columns_in_another_order",
            "crlf",
            "every_class",
            "needed_columns_alone",
            "quoted_commas",
            "white_space_around_cells",
            "without_the_last_line_end",
        ];
        assert_eq!(tables, good);
    }

    /// What tables are made of, and what breaks them.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known: Vec<&[u8]> = vec![
            b"serial,device_name\n",
            b"serial,device_name,location,device_class,bound_product,bound_action\n",
            b"SN-1,Desk",
            b"SN-2,Door,,gate,access,enter",
            b"kiosk,wallet,",
            b"\xef\xbb\xbf",
            b",",
            b";",
            b"\"",
            b"\"\"",
            b"\n",
            b"\r\n",
            b"\r",
            b" ",
            b"\0",
            b"=1+1",
        ];
        prop_oneof![
            4 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..8),
            1 => any::<char>().prop_map(|letter| letter.to_string().into_bytes()),
        ]
    }

    fn row() -> impl Strategy<Value = [String; 3]> {
        let cell = |longest: usize| {
            let plain = prop::char::any().prop_filter("control", |letter| !letter.is_control());
            let letters = prop::collection::vec(plain, 0..longest);
            letters.prop_map(|letters| letters.into_iter().collect::<String>())
        };
        (cell(140), cell(140), cell(270)).prop_map(|(serial, name, location)| {
            let quoted = |cell: String| format!("\"{}\"", cell.replace('"', "\"\""));
            [serial, name, location].map(quoted)
        })
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_laws(pieces in prop::collection::vec(piece(), 0..40)) {
            hold(&pieces.concat());
        }

        #[test]
        fn no_cells_break_them(rows in prop::collection::vec(row(), 1..6)) {
            let lines = rows.iter().map(|row| row.join(",") + "\n");
            let table = lines.fold("serial,device_name,location\n".to_owned(), |all, line| all + &line);
            hold(table.as_bytes());
        }
    }
}
