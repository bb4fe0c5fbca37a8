//! A record as one row of cells, whatever structs and tuples it is made of.

use std::io::Write;

use csv::ByteRecord;
use serde::de::value::Error;
use serde::ser::{Error as _, Impossible, Serialize, Serializer};
use serde::ser::{SerializeStruct, SerializeTuple, SerializeTupleStruct};

use crate::shape::{Columns, Names};

/// Writes a record's cells into a row.
pub(super) struct Flat<'a> {
    pub(super) row: &'a mut ByteRecord,
    /// The cell that is being written.
    pub(super) cell: &'a mut Vec<u8>,
    /// The columns of what is written now, where they are known.
    pub(super) at: Option<&'a Columns>,
    /// Where the names of the columns go, if they are asked for.
    pub(super) names: Option<&'a mut Names>,
}

impl Flat<'_> {
    fn put(&mut self, cell: &[u8]) -> Result<(), Error> {
        self.row.push_field(cell);
        if let Some(names) = &mut self.names {
            names.add(None);
        }
        Ok(())
    }

    fn show(&mut self, value: impl std::fmt::Display) -> Result<(), Error> {
        self.cell.clear();
        write!(self.cell, "{value}").map_err(Error::custom)?;
        self.row.push_field(self.cell);
        if let Some(names) = &mut self.names {
            names.add(None);
        }
        Ok(())
    }

    /// As the `csv` crate does: the shortest text that is read back as the number.
    fn float(&mut self, value: f64, as_json: impl Serialize) -> Result<(), Error> {
        if !value.is_finite() {
            return self.show(value);
        }
        self.cell.clear();
        serde_json::to_writer(&mut *self.cell, &as_json).map_err(Error::custom)?;
        self.row.push_field(self.cell);
        if let Some(names) = &mut self.names {
            names.add(None);
        }
        Ok(())
    }

    /// Empty cells for all that is not there.
    fn nothing(&mut self) -> Result<(), Error> {
        (0..self.at.map_or(1, Columns::width)).for_each(|_| self.row.push_field(b""));
        if let Some(names) = &mut self.names {
            names.add(self.at);
        }
        Ok(())
    }
}

/// The parts of a struct or a tuple.
pub(super) struct Parts<'f, 'a> {
    flat: &'f mut Flat<'a>,
    columns: Option<&'a Columns>,
    number: usize,
}

impl<'f, 'a> Parts<'f, 'a> {
    fn of(flat: &'f mut Flat<'a>) -> Self {
        let columns = flat.at;
        Parts {
            flat,
            columns,
            number: 0,
        }
    }

    fn part<T: Serialize + ?Sized>(&mut self, name: Option<&str>, part: &T) -> Result<(), Error> {
        self.flat.at = self.columns.and_then(|all| all.of(name, self.number));
        if let Some(names) = &mut self.flat.names {
            names.enter(name, self.number);
        }
        part.serialize(&mut *self.flat)?;
        if let Some(names) = &mut self.flat.names {
            names.leave();
        }
        self.number += 1;
        Ok(())
    }
}

impl SerializeStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        field: &T,
    ) -> Result<(), Error> {
        self.part(Some(name), field)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SerializeTuple for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Error> {
        self.part(None, part)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SerializeTupleStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Error> {
        self.part(None, part)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! shown {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.show(value)
        })*
    };
}

fn refuse<R>(what: &str) -> Result<R, Error> {
    Err(Error::custom(format!(
        "it has {what} in it, and a row has only cells"
    )))
}

impl<'f, 'a> Serializer for &'f mut Flat<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Parts<'f, 'a>;
    type SerializeTupleStruct = Parts<'f, 'a>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Parts<'f, 'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    shown! {
        serialize_bool bool, serialize_char char,
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_i128 i128, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
        serialize_u64 u64, serialize_u128 u128
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.float(value.into(), value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.float(value, value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.put(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.put(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.nothing()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.put(b"")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.put(name.as_bytes())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.put(variant.as_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        refuse("a variant with a value")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        refuse("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'f, 'a>, Error> {
        Ok(Parts::of(self))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'f, 'a>, Error> {
        Ok(Parts::of(self))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        refuse("a variant with values")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        refuse("a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'f, 'a>, Error> {
        Ok(Parts::of(self))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        refuse("a variant with fields")
    }
}
