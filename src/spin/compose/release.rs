//! Giving back what a function was handed: handles in its parameters belong to it, and borrowed ones must be gone when
//! it returns.

use std::collections::HashMap;

use wasm_encoder::{BlockType, Instruction, MemArg, ValType};
use wit_parser::abi::{FlatTypes, WasmType};
use wit_parser::{
    Function, FutureIntrinsic, Handle, Int, LiftLowerAbi, ManglingAndAbi, Resolve, ResourceIntrinsic, SizeAlign,
    StreamIntrinsic, Type, TypeDefKind, TypeId, TypeOwner, WasmImport, World, WorldItem, WorldKey,
};

use super::answer::TooLarge;

/// The functions that the host has for handles, as the module imports them.
#[derive(Default)]
pub(super) struct Intrinsics {
    names: Vec<(String, String)>,
    by_name: HashMap<(String, String), u32>,
}

impl Intrinsics {
    /// Returns the index of a function; imports come first, so that it stays.
    pub(super) fn index(&mut self, (module, name): (String, String)) -> u32 {
        let next = u32::try_from(self.names.len()).expect("imports are bounded by types");
        *self.by_name.entry((module, name)).or_insert_with_key(|key| {
            self.names.push(key.clone());
            next
        })
    }

    /// Returns modules and names, in the order of their indices.
    pub(super) fn names(&self) -> &[(String, String)] {
        &self.names
    }
}

/// Writes the code that gives back what one function was handed.
pub(super) struct Release<'a> {
    pub(super) resolve: &'a Resolve,
    pub(super) world: &'a World,
    pub(super) sizes: &'a SizeAlign,
    pub(super) intrinsics: &'a mut Intrinsics,
    /// The function, and the interface it is in.
    pub(super) function: &'a Function,
    pub(super) interface: Option<&'a WorldKey>,
    /// The types of its parameters in core WebAssembly.
    pub(super) params: Vec<ValType>,
    /// What was written.
    pub(super) code: Vec<Instruction<'static>>,
    /// How many locals it needs, all `i32`.
    pub(super) locals: u32,
    pub(super) known: HashMap<TypeId, bool>,
    /// How many more values may be walked, in this function and those after it.
    pub(super) steps: &'a mut usize,
}

impl Release<'_> {
    /// Writes it for all parameters: each as values of its own, or all of them in memory.
    pub(super) fn parameters(&mut self, in_memory: bool) -> Result<(), TooLarge> {
        let types: Vec<Type> = self.function.params.iter().map(|param| param.ty).collect();
        if in_memory {
            self.fields(types.iter(), 0, 0);
        } else {
            self.values(types.iter(), 0);
        }
        if *self.steps == 0 { Err(TooLarge) } else { Ok(()) }
    }

    fn values<'t>(&mut self, types: impl Iterator<Item = &'t Type>, mut at: u32) {
        for ty in types {
            self.value(ty, at);
            at += self.width(ty);
        }
    }

    /// Gives back what is in the values that start with the local `at`.
    fn value(&mut self, ty: &Type, at: u32) {
        if !self.holds(ty) || !self.step() {
            return;
        }
        let Type::Id(id) = ty else { return };
        let resolve = self.resolve;
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.value(ty, at),
            TypeDefKind::Record(record) => self.values(record.fields.iter().map(|field| &field.ty), at),
            TypeDefKind::Tuple(tuple) => self.values(tuple.types.iter(), at),
            TypeDefKind::List(element) => {
                let (address, count) = (self.local(), self.local());
                self.get(at);
                self.code.push(Instruction::LocalSet(address));
                self.get(at + 1);
                self.code.push(Instruction::LocalSet(count));
                self.elements(element, address, count);
            }
            kind => match cases(kind) {
                Some((_, cases)) => {
                    for (index, payload) in cases.into_iter().enumerate() {
                        if let Some(payload) = payload.filter(|payload| self.holds(payload)) {
                            self.get(at);
                            self.begin_case(index);
                            self.value(&payload, at + 1);
                            self.code.push(Instruction::End);
                        }
                    }
                }
                None => {
                    if let Some(drop) = self.intrinsic(*id) {
                        self.get(at);
                        self.code.push(Instruction::Call(drop));
                    }
                }
            },
        }
    }

    fn fields<'t>(&mut self, types: impl Iterator<Item = &'t Type>, base: u32, offset: u64) {
        for (at, ty) in self.sizes.field_offsets(types) {
            self.stored(ty, base, offset + at.size_wasm32() as u64);
        }
    }

    /// Gives back what is in memory at `offset` from the address in the local `base`.
    fn stored(&mut self, ty: &Type, base: u32, offset: u64) {
        if !self.holds(ty) || !self.step() {
            return;
        }
        let Type::Id(id) = ty else { return };
        let resolve = self.resolve;
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.stored(ty, base, offset),
            TypeDefKind::Record(record) => self.fields(record.fields.iter().map(|field| &field.ty), base, offset),
            TypeDefKind::Tuple(tuple) => self.fields(tuple.types.iter(), base, offset),
            TypeDefKind::List(element) => {
                let (address, count) = (self.local(), self.local());
                for (local, offset) in [(address, offset), (count, offset + 4)] {
                    self.load(Int::U32, base, offset);
                    self.code.push(Instruction::LocalSet(local));
                }
                self.elements(element, address, count);
            }
            kind => match cases(kind) {
                Some((tag, cases)) => {
                    let payload_at = self.sizes.payload_offset(tag, cases.iter().map(Option::as_ref)).size_wasm32();
                    for (index, payload) in cases.into_iter().enumerate() {
                        if let Some(payload) = payload.filter(|payload| self.holds(payload)) {
                            self.load(tag, base, offset);
                            self.begin_case(index);
                            self.stored(&payload, base, offset + payload_at as u64);
                            self.code.push(Instruction::End);
                        }
                    }
                }
                None => {
                    if let Some(drop) = self.intrinsic(*id) {
                        self.load(Int::U32, base, offset);
                        self.code.push(Instruction::Call(drop));
                    }
                }
            },
        }
    }

    /// Walks a list whose address and length are in two locals, which it uses up.
    fn elements(&mut self, element: &Type, address: u32, count: u32) {
        let size = i32::try_from(self.sizes.size(element).size_wasm32()).expect("types are bounded");
        self.code.extend([
            Instruction::Block(BlockType::Empty),
            Instruction::Loop(BlockType::Empty),
            Instruction::LocalGet(count),
            Instruction::I32Eqz,
            Instruction::BrIf(1),
        ]);
        self.stored(element, address, 0);
        self.code.extend([
            Instruction::LocalGet(address),
            Instruction::I32Const(size),
            Instruction::I32Add,
            Instruction::LocalSet(address),
            Instruction::LocalGet(count),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::LocalSet(count),
            Instruction::Br(0),
            Instruction::End,
            Instruction::End,
        ]);
    }

    fn begin_case(&mut self, index: usize) {
        let index = i32::try_from(index).expect("cases are bounded");
        self.code.extend([Instruction::I32Const(index), Instruction::I32Eq, Instruction::If(BlockType::Empty)]);
    }

    /// Puts a parameter on the stack as the `i32` it was before it shared its place with a wider one.
    fn get(&mut self, local: u32) {
        self.code.push(Instruction::LocalGet(local));
        if self.params.get(local as usize) == Some(&ValType::I64) {
            self.code.push(Instruction::I32WrapI64);
        }
    }

    fn load(&mut self, width: Int, base: u32, offset: u64) {
        let memory = |align| MemArg { offset, align, memory_index: 0 };
        self.code.push(Instruction::LocalGet(base));
        self.code.push(match width {
            Int::U8 => Instruction::I32Load8U(memory(0)),
            Int::U16 => Instruction::I32Load16U(memory(1)),
            Int::U32 | Int::U64 => Instruction::I32Load(memory(2)),
        });
    }

    fn local(&mut self) -> u32 {
        let local = u32::try_from(self.params.len()).expect("parameters are few") + self.locals;
        self.locals += 1;
        local
    }

    /// Counts the values of core WebAssembly that a parameter takes.
    fn width(&self, ty: &Type) -> u32 {
        let mut storage = [WasmType::I32; Resolve::MAX_FLAT_PARAMS];
        let mut flat = FlatTypes::new(&mut storage);
        self.resolve.push_flat(ty, &mut flat);
        u32::try_from(flat.to_vec().len()).expect("parameters are few")
    }

    /// Says whether one more value may be walked: a tuple of tuples of tuples holds as many as it likes.
    fn step(&mut self) -> bool {
        *self.steps = self.steps.saturating_sub(1);
        *self.steps > 0
    }

    /// Says whether there is anything to give back in a value of this type.
    fn holds(&mut self, ty: &Type) -> bool {
        let Type::Id(id) = ty else { return false };
        if let Some(known) = self.known.get(id) {
            return *known;
        }
        let resolve = self.resolve;
        let holds = match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) | TypeDefKind::List(ty) => self.holds(ty),
            TypeDefKind::Record(record) => record.fields.iter().any(|field| self.holds(&field.ty)),
            TypeDefKind::Tuple(tuple) => tuple.types.iter().any(|ty| self.holds(ty)),
            kind => match cases(kind) {
                Some((_, cases)) => cases.iter().flatten().any(|ty| self.holds(ty)),
                None => self.intrinsic(*id).is_some(),
            },
        };
        self.known.insert(*id, holds);
        holds
    }

    /// Returns the function that gives back a handle, a stream or a future.
    fn intrinsic(&mut self, id: TypeId) -> Option<u32> {
        let (resolve, interface, func) = (self.resolve, self.interface, self.function);
        let import = match &resolve.types[id].kind {
            TypeDefKind::Handle(handle) => return self.drop_of(handle),
            TypeDefKind::Stream(_) => {
                let intrinsic = StreamIntrinsic::DropReadable;
                WasmImport::StreamIntrinsic { interface, func, ty: Some(id), intrinsic, exported: true, async_: false }
            }
            TypeDefKind::Future(_) => {
                let intrinsic = FutureIntrinsic::DropReadable;
                WasmImport::FutureIntrinsic { interface, func, ty: Some(id), intrinsic, exported: true, async_: false }
            }
            _ => return None,
        };
        Some(self.intrinsics.index(resolve.wasm_import_name(MANGLING, import)))
    }

    /// A resource of the host's is dropped however it came; one of the module's own only when it is owned, because a
    /// borrowed one arrives as what is behind the handle.
    fn drop_of(&mut self, handle: &Handle) -> Option<u32> {
        let (Handle::Own(id) | Handle::Borrow(id)) = handle;
        let resource = definition(self.resolve, *id);
        let owner = match self.resolve.types[resource].owner {
            TypeOwner::Interface(interface) => Some(interface),
            _ => None,
        };
        let is_owner =
            |item: &WorldItem| matches!((item, owner), (WorldItem::Interface { id, .. }, Some(owner)) if *id == owner);
        let exported = self.world.exports.iter().find(|(_, item)| is_owner(item));
        let (interface, intrinsic) = match (exported, handle) {
            (Some(_), Handle::Borrow(_)) => return None,
            (Some((key, _)), Handle::Own(_)) => (Some(key), ResourceIntrinsic::ExportedDrop),
            (None, _) => {
                let imported = self.world.imports.iter().find(|(_, item)| is_owner(item));
                (imported.map(|(key, _)| key), ResourceIntrinsic::ImportedDrop)
            }
        };
        let import = WasmImport::ResourceIntrinsic { interface, resource, intrinsic };
        Some(self.intrinsics.index(self.resolve.wasm_import_name(MANGLING, import)))
    }
}

/// Follows the names of a resource to where it is defined.
pub(super) fn definition(resolve: &Resolve, mut id: TypeId) -> TypeId {
    while let TypeDefKind::Type(Type::Id(other)) = &resolve.types[id].kind {
        id = *other;
    }
    id
}

/// Returns what comes with each case of a type that has cases, and how wide the number of the case is.
fn cases(kind: &TypeDefKind) -> Option<(Int, Vec<Option<Type>>)> {
    match kind {
        TypeDefKind::Option(some) => Some((Int::U8, vec![None, Some(*some)])),
        TypeDefKind::Result(result) => Some((Int::U8, vec![result.ok, result.err])),
        TypeDefKind::Variant(variant) => Some((variant.tag(), variant.cases.iter().map(|case| case.ty).collect())),
        _ => None,
    }
}

/// How many values with handles the parameters of all functions may consist of.
pub(super) const MAX_STEPS: usize = 1 << 18;

/// How names are put together: the way all tools understand today.
pub(super) const MANGLING: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
