//! Turns a module into a script that deno_core loads lazily: a function that is called at once and
//! returns what the module exports. Line numbers stay the same.

/// The script of a module. It understands the syntax that `bgfetch_js` promises, and refuses any
/// other.
pub(crate) fn to_script(module: &str) -> Result<String, String> {
    let mut script = String::from("(function () { \"use strict\"; const { core } = __bootstrap; ");
    let mut rest = module;
    while let Some((line, _)) = rest.split_once('\n') {
        if line.starts_with("import ") {
            let (import, after) = rest.split_once(";\n").ok_or("an import without an end")?;
            script.push_str(&to_constant(import)?);
            script.push('\n');
            rest = after;
        } else if line.starts_with("export ") {
            let names = rest.strip_prefix("export {").and_then(|rest| rest.strip_suffix("};\n"));
            let names = names.ok_or("an export that is no list at the end")?;
            script.push_str(&format!("return {{ __proto__: null, {}}};\n}})();\n", listed(names)?));
            return Ok(script);
        } else if line.contains("import(") || line.contains("import.meta") {
            return Err(format!("dynamic syntax: {line}"));
        } else {
            script.push_str(line);
            script.push('\n');
            rest = rest.get(line.len() + 1..).unwrap_or_default();
        }
    }
    Err("no export at the end".into())
}

/// `import … from "./x.js"` as the declaration of constants.
fn to_constant(import: &str) -> Result<String, String> {
    let unknown = || format!("unknown syntax: {import}");
    let (what, from) = import.split_once(" from \"./").ok_or_else(unknown)?;
    let file = from.strip_suffix('"').filter(|file| is_file(file)).ok_or_else(unknown)?;
    let what = what.strip_prefix("import ").unwrap_or(what);
    let pattern = if let Some(name) = what.strip_prefix("* as ").filter(|name| is_name(name)) {
        name.to_owned()
    } else {
        let names = what.strip_prefix('{').and_then(|what| what.strip_suffix('}'));
        format!("{{{}}}", listed(names.ok_or_else(unknown)?)?)
    };
    Ok(format!("const {pattern} = core.loadExtScript(\"ext:bgfetch_deno/{file}\");"))
}

/// A list of names, which must not be renamed.
fn listed(names: &str) -> Result<&str, String> {
    let wrong = names.trim().trim_end_matches(',').split(',').find(|name| !is_name(name.trim()));
    wrong.map_or(Ok(names), |name| Err(format!("not a name: {name}")))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_file(text: &str) -> bool {
    text.strip_suffix(".js").is_some_and(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_become_constants_and_exports_are_returned_on_the_same_lines() {
        let module = "// About.\nimport * as engine from \"./engine.js\";\nimport {\n  a,\n  b,\n} from \
                      \"./x.js\";\n\nconst c = a(b, engine);\n\nexport { a, c };\n";
        let script = to_script(module).unwrap();
        assert_eq!(
            script,
            "(function () { \"use strict\"; const { core } = __bootstrap; // About.\nconst engine = \
             core.loadExtScript(\"ext:bgfetch_deno/engine.js\");\nconst {\n  a,\n  b,\n} = \
             core.loadExtScript(\"ext:bgfetch_deno/x.js\");\n\nconst c = a(b, engine);\n\nreturn { \
             __proto__: null,  a, c };\n})();\n",
        );
    }

    #[test]
    fn other_syntax_of_modules_is_refused() {
        for module in [
            "const a = 1;\n",
            "import a from \"./a.js\";\nexport { a };\n",
            "import { a as b } from \"./a.js\";\nexport { b };\n",
            "import { a } from \"node:fs\";\nexport { a };\n",
            "import { a } from \"./../a.js\";\nexport { a };\n",
            "export const a = 1;\nexport { a };\n",
            "export { a };\nconst a = 1;\n",
            "const a = await import(\"./a.js\");\nexport { a };\n",
        ] {
            assert!(to_script(module).is_err(), "{module}");
        }
    }
}
