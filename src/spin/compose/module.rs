//! The core module of a component that says no: one function for each that is not permitted.

use std::collections::HashMap;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, FunctionSection,
    GlobalSection, GlobalType, ImportSection, Instruction, MemorySection, MemoryType, Module, NameMap, NameSection,
    TypeSection, ValType,
};
use wit_parser::abi::{AbiVariant, WasmSignature, WasmType};
use wit_parser::{
    Function, FunctionKind, Resolve, ResourceIntrinsic, SizeAlign, TypeId, WasmExport, WasmExportKind, WasmImport,
    WorldId, WorldItem, WorldKey,
};

use super::answer::{Answers, TooLarge};
use super::release::{Intrinsics, MANGLING, MAX_STEPS, Release, definition};

/// Writes a module for `world`, all of whose exports it denies. `reason` says why an interface is not permitted.
pub(super) fn module(resolve: &Resolve, world: WorldId, reason: impl Fn(&str) -> String) -> Result<Vec<u8>, TooLarge> {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    let mut writer = Writer {
        resolve,
        world,
        sizes: &sizes,
        answers: Answers::new(resolve, &sizes),
        intrinsics: Intrinsics::default(),
        functions: Vec::new(),
        steps: MAX_STEPS,
    };
    for (key, item) in &resolve.worlds[world].exports {
        let interface = resolve.name_world_key(key);
        let message = reason(&interface);
        match item {
            WorldItem::Interface { id, .. } => {
                for function in resolve.interfaces[*id].functions.values() {
                    writer.deny(Some(key), &interface, function, &message)?;
                }
            }
            WorldItem::Function(function) => writer.deny(None, &interface, function, &message)?,
            WorldItem::Type { .. } => {}
        }
    }
    Ok(writer.finish())
}

/// A function of the module.
struct Written {
    export: String,
    /// What backtraces call it: who traps says why.
    label: String,
    params: Vec<ValType>,
    results: Vec<ValType>,
    locals: u32,
    code: Vec<Instruction<'static>>,
}

struct Writer<'a> {
    resolve: &'a Resolve,
    world: WorldId,
    sizes: &'a SizeAlign,
    answers: Answers<'a>,
    intrinsics: Intrinsics,
    functions: Vec<Written>,
    /// How many more values may be given back.
    steps: usize,
}

impl Writer<'_> {
    /// Adds a function that gives back what it was handed, and answers.
    fn deny(
        &mut self,
        key: Option<&WorldKey>,
        interface: &str,
        function: &Function,
        message: &str,
    ) -> Result<(), TooLarge> {
        // A function that may wait need not: it answers at once, like the others.
        let signature = self.resolve.wasm_signature(AbiVariant::GuestExport, function);
        let params = types(&signature.params);
        let export = WasmExport::Func { interface: key, func: function, kind: WasmExportKind::Normal };
        let mut written = Written {
            export: self.resolve.wasm_export_name(MANGLING, export),
            label: format!("{interface}#{}: {message}", function.name),
            results: types(&signature.results),
            params: params.clone(),
            locals: 0,
            code: Vec::new(),
        };
        match self.answer(key, interface, function, &signature, message)? {
            Some(answer) => {
                let mut release = Release {
                    resolve: self.resolve,
                    world: &self.resolve.worlds[self.world],
                    sizes: self.sizes,
                    intrinsics: &mut self.intrinsics,
                    function,
                    interface: key,
                    params,
                    code: Vec::new(),
                    locals: 0,
                    known: HashMap::new(),
                    steps: &mut self.steps,
                };
                release.parameters(signature.indirect_params)?;
                (written.locals, written.code) = (release.locals, release.code);
                // Nobody needs what the parameters had in memory any more.
                written.code.extend([Instruction::GlobalGet(HEAP_START), Instruction::GlobalSet(HEAP)]);
                written.code.extend(answer);
            }
            None => written.code.push(Instruction::Unreachable),
        }
        written.code.push(Instruction::End);
        self.functions.push(written);
        Ok(())
    }

    /// Writes the code that puts the answer on the stack; none where there is no answer.
    fn answer(
        &mut self,
        key: Option<&WorldKey>,
        interface: &str,
        function: &Function,
        signature: &WasmSignature,
        message: &str,
    ) -> Result<Option<Vec<Instruction<'static>>>, TooLarge> {
        let Some(result) = &function.result else { return Ok(Some(Vec::new())) };
        if let FunctionKind::Constructor(resource) = function.kind {
            return Ok(Some(self.construct(key, resource)));
        }
        let Some(address) = self.answers.add(interface, result, message)? else { return Ok(None) };
        let [kind] = types(&signature.results)[..] else { return Ok(Some(Vec::new())) };
        if signature.retptr {
            return Ok(Some(vec![Instruction::I32Const(address.cast_signed())]));
        }
        let number = self.answers.number(address, result);
        Ok(match kind {
            ValType::I32 => Some(vec![Instruction::I32Const(number as i32)]),
            ValType::I64 => Some(vec![Instruction::I64Const(number)]),
            // Nothing that says no is a fraction.
            _ => None,
        })
    }

    /// A constructor cannot fail, so that what it makes has to: all of its methods are denied.
    fn construct(&mut self, key: Option<&WorldKey>, resource: TypeId) -> Vec<Instruction<'static>> {
        let resource = definition(self.resolve, resource);
        let intrinsic = ResourceIntrinsic::ExportedNew;
        let import = WasmImport::ResourceIntrinsic { interface: key, resource, intrinsic };
        let new = self.intrinsics.index(self.resolve.wasm_import_name(MANGLING, import));
        vec![Instruction::I32Const(1), Instruction::Call(new)]
    }

    fn finish(self) -> Vec<u8> {
        let (base, data) = self.answers.into_memory();
        let heap = (base + u32::try_from(data.len()).expect("answers are bounded")).next_multiple_of(16);
        let mut types = TypeSection::new();
        let mut imports = ImportSection::new();
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        let mut names = NameMap::new();
        let mut ty = |params: &[ValType], results: &[ValType]| {
            types.ty().function(params.iter().copied(), results.iter().copied());
            types.len() - 1
        };

        let unary = ty(&[ValType::I32], &[]);
        let new = ty(&[ValType::I32], &[ValType::I32]);
        for (module, name) in self.intrinsics.names() {
            let ty = if name.starts_with("[resource-new]") { new } else { unary };
            imports.import(module, name, EntityType::Function(ty));
        }
        let realloc = imports.len();
        functions.function(ty(&[ValType::I32; 4], &[ValType::I32]));
        code.function(&function(3, ValType::I32, &allocate()));
        names.append(realloc, "cabi_realloc");
        exports.export("cabi_realloc", ExportKind::Func, realloc);
        exports.export("memory", ExportKind::Memory, 0);
        for (index, written) in (realloc + 1..).zip(&self.functions) {
            functions.function(ty(&written.params, &written.results));
            code.function(&function(written.locals, ValType::I32, &written.code));
            names.append(index, &written.label);
            exports.export(&written.export, ExportKind::Func, index);
        }

        let mut memory = MemorySection::new();
        let minimum = u64::from(heap).div_ceil(PAGE);
        memory.memory(MemoryType { minimum, maximum: None, memory64: false, shared: false, page_size_log2: None });
        let mut globals = GlobalSection::new();
        for mutable in [true, false] {
            let ty = GlobalType { val_type: ValType::I32, mutable, shared: false };
            globals.global(ty, &ConstExpr::i32_const(heap.cast_signed()));
        }
        let mut segments = DataSection::new();
        segments.active(0, &ConstExpr::i32_const(base.cast_signed()), data);
        let mut name_section = NameSection::new();
        name_section.module("denial");
        name_section.functions(&names);

        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&memory).section(&globals);
        module.section(&exports).section(&code).section(&segments).section(&name_section);
        module.finish()
    }
}

fn types(types: &[WasmType]) -> Vec<ValType> {
    let of = |ty: &WasmType| match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    };
    types.iter().map(of).collect()
}

fn function(locals: u32, ty: ValType, code: &[Instruction<'static>]) -> wasm_encoder::Function {
    let mut function = wasm_encoder::Function::new((locals > 0).then_some((locals, ty)));
    for instruction in code {
        function.instruction(instruction);
    }
    function
}

/// The code of `cabi_realloc`, by which the host makes room for parameters: the next bytes of the heap, which every
/// answer empties. What was there before is not kept, because nobody looks at it. Traps where memory cannot grow.
fn allocate() -> Vec<Instruction<'static>> {
    const ALIGN: u32 = 2;
    const SIZE: u32 = 3;
    const START: u32 = 4;
    const END: u32 = 5;
    const PAGES: u32 = 6;
    vec![
        Instruction::GlobalGet(HEAP),
        Instruction::LocalGet(ALIGN),
        Instruction::I32Add,
        Instruction::I32Const(1),
        Instruction::I32Sub,
        Instruction::I32Const(0),
        Instruction::LocalGet(ALIGN),
        Instruction::I32Sub,
        Instruction::I32And,
        Instruction::LocalTee(START),
        Instruction::LocalGet(SIZE),
        Instruction::I32Add,
        Instruction::LocalTee(END),
        // Beyond the end of what 32 bits can say.
        Instruction::GlobalGet(HEAP),
        Instruction::I32LtU,
        Instruction::If(BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
        // Pages up to the end, rounded up, less those there are.
        Instruction::LocalGet(END),
        Instruction::I32Const(16),
        Instruction::I32ShrU,
        Instruction::I32Const(1),
        Instruction::I32Add,
        Instruction::MemorySize(0),
        Instruction::I32Sub,
        Instruction::LocalTee(PAGES),
        Instruction::I32Const(0),
        Instruction::I32GtS,
        Instruction::If(BlockType::Empty),
        Instruction::LocalGet(PAGES),
        Instruction::MemoryGrow(0),
        Instruction::I32Const(-1),
        Instruction::I32Eq,
        Instruction::If(BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
        Instruction::End,
        Instruction::LocalGet(END),
        Instruction::GlobalSet(HEAP),
        Instruction::LocalGet(START),
        Instruction::End,
    ]
}

/// The global that says where the free part of the memory starts.
const HEAP: u32 = 0;
/// The global that says where it starts when nothing is kept.
const HEAP_START: u32 = 1;
/// The size of a page of memory, in bytes.
const PAGE: u64 = 1 << 16;
