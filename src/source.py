"""What ties a result to its code: the source text of what makes it, without comments and docstrings."""

import ast
import hashlib
import importlib
import inspect
import linecache
import os
import sys
import uuid
import warnings
from pathlib import Path

PLAIN = bool, int, float, str, bytes, tuple, list, dict, set, frozenset, type(None)
_READ = {}  # by the name of a module: its spec, which a reload replaces, and its text as it was when that was read


class UnknownSourceError(ValueError):
    """The source text of an own class cannot be had, or not that of something it uses."""


def code_of_modules(*names):
    """A checksum of modules of this repository: their text when they were loaded, and their constants as they are now."""
    parts = []
    for name in names:
        module = importlib.import_module(name)
        constants = {key: x for key, x in vars(module).items() if key.isupper() and key[0] != "_"}
        plain = sorted((key, repr(x)) for key, x in constants.items() if isinstance(x, (int, float, str, tuple)))
        parts += [_without_docstrings(ast.parse(_text_of(module))), repr(plain)]
    return _checksum(parts)


def code_of_class(model_class):
    """A checksum of a class: of the modules of this repository that define it, and of what is defined elsewhere.

    Of an own class, of a notebook or a module, it is its own text and that of the classes, functions and plain values that it uses
    by name from own modules. Where that cannot be had, a warning says so, and the checksum is another one each time;
    but in a worker, to which a class takes its checksum along.
    """
    modules = {part.__module__ for part in model_class.__mro__ if part.__module__.startswith("src.")}
    texts = {}
    try:
        for part in model_class.__mro__:
            if _is_own(sys.modules.get(part.__module__)):
                _follow(part, texts)
    except UnknownSourceError as error:
        process, code = vars(model_class).get("_code", (os.getpid(), None))
        if process != os.getpid():  # a worker has the class of the sweep's process, but not its notebook
            return code
        warnings.warn(f"{error}; what {model_class.__name__} has made is not found again", stacklevel=2)
        texts["unknown"] = uuid.uuid4().hex
    name = f"{model_class.__module__}.{model_class.__qualname__}"
    code = _checksum([name, code_of_modules(*sorted(modules)), *(f"{name} {texts[name]}" for name in sorted(texts))])
    if texts and "unknown" not in texts:
        model_class._code = os.getpid(), code
    return code


def _follow(part, texts):
    """Add the text of an own class or function to `texts`, and that of all it uses."""
    name = f"{part.__module__}.{part.__qualname__}"
    if name in texts:
        return
    definition = _definition(part)
    texts[name] = _without_docstrings(definition)
    namespace = vars(sys.modules[part.__module__])
    for used in sorted({node.id for node in ast.walk(definition) if isinstance(node, ast.Name)} & namespace.keys()):
        value = inspect.unwrap(namespace[used])
        if inspect.ismodule(value):
            if _is_own(value):
                texts[value.__name__] = _without_docstrings(ast.parse(_text_of(value)))
        elif inspect.isclass(value) or inspect.isroutine(value):
            if _is_own(sys.modules.get(value.__module__)):
                _follow(value, texts)
            elif str(value.__module__).startswith("src."):
                texts[value.__module__] = code_of_modules(value.__module__)
        else:
            texts[f"{part.__module__}.{used}"] = _text_of_value(used, value)


def _definition(part):
    """The syntax tree of an own class or function."""
    functions = [part] if inspect.isfunction(part) else [_function(member) for member in vars(part).values()]
    files = [function.__code__.co_filename for function in functions if inspect.isfunction(function)]
    module = sys.modules[part.__module__]
    texts = [_text_of(module)] if getattr(module, "__file__", None) else []
    texts += ["".join(linecache.getlines(file)) for file in files]  # of the cells of a notebook
    for tree in map(ast.parse, texts):
        for nodes in (tree.body, ast.walk(tree)):  # a method may have the name of a function
            found = [node for node in nodes if getattr(node, "name", None) == part.__name__]
            if found:
                return found[-1]
    raise UnknownSourceError(f"the source text of {part.__qualname__} cannot be read")


def _function(member):
    """The function of a member of a class: of a method, a class method, a property, a decorated one."""
    return inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", member)))


def _text_of_value(name, value):
    text = repr(sorted(map(repr, value))) if isinstance(value, (set, frozenset)) else repr(value)
    if not isinstance(value, PLAIN) or " at 0x" in text:
        raise UnknownSourceError(f"{name} is a {type(value).__name__}, whose source text cannot be read")
    return text


def _text_of(module):
    spec = getattr(module, "__spec__", None)
    if module.__name__ not in _READ or _READ[module.__name__][0] is not spec:
        _READ[module.__name__] = spec, Path(module.__file__).read_text(encoding="utf-8")
    return _READ[module.__name__][1]


def _is_own(module):
    """Whether a module is the user's: a notebook, a script, a file that is neither installed nor of this repository."""
    if module is None or module.__name__ == "__main__":
        return module is not None
    file = getattr(module, "__file__", None) or ""  # modules that are written in C have none
    is_installed = any(Path(file).is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix))
    return bool(file) and not is_installed and not module.__name__.startswith("src.")


def _without_docstrings(tree):
    """The code of a syntax tree as text."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _checksum(texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
