"""Finds the functions that `module:function` names, and finds them anew after a reload.

A configuration's hooks live beside it or in the working directory. On a reload, when one of their source files has
changed, those modules are imported afresh as new module objects: requests under the old plan go on with the old
functions and their old globals.
"""

import hashlib
import importlib
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tidegate.errors import TidegateError

HookFunction = Callable[[Any], Any]


class HookError(TidegateError):
    """A hook's name leads to no function; `name` is `module:function`, `why` says what was found instead."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"hook {self.name!r}: {self.why}"


class Function(NamedTuple):
    """A function that was found."""

    name: str
    call: HookFunction
    is_async: bool


class Resolver:
    """Resolves names against the configuration's folder, the working directory and what is installed, in this order."""

    def __init__(self, folder: str, builtins: Mapping[str, HookFunction] | None = None) -> None:
        self._roots = list(dict.fromkeys((os.path.realpath(folder), os.path.realpath(os.getcwd()))))
        self._builtins = dict(builtins or {})
        self._own: dict[str, str] = {}  # the user's modules by name, with the digest of their source
        self._files: dict[str, str] = {}

    @property
    def files(self) -> frozenset[str]:
        """The source files that the user's modules came from."""
        return frozenset(self._files.values())

    def resolve(self, names: Iterable[str]) -> list[Function]:
        """One function for each name, in order; raises HookError and leaves the imported modules as they were."""
        for root in reversed(self._roots):
            if root not in sys.path:
                sys.path.insert(0, root)
        aside = self._set_changed_aside()
        before = set(sys.modules)
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a configuration folder is not ours to fill,
        try:  # and bytecode is told apart by whole seconds, which is too coarse for an edit and a reload
            found = [self._find(name) for name in names]
        except HookError:
            for name in set(sys.modules) - before:
                if self._source(name) is not None:
                    del sys.modules[name]
            sys.modules.update(aside)
            raise
        finally:
            sys.dont_write_bytecode = writes
        self._remember(set(sys.modules) - before)
        return found

    def _find(self, name: str) -> Function:
        if name in self._builtins:
            function = self._builtins[name]
        else:
            module_name, colon, path = name.partition(":")
            if not colon or not module_name or not path:
                raise HookError(name, "write it as module:function")
            function = _attribute(name, self._module(name, module_name), path)
        return Function(name, function, _is_async(function))

    def _module(self, name: str, module_name: str) -> Any:
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
                where = " and ".join(self._roots)
                raise HookError(name, f"there is no module {module_name!r} in {where}, nor is one installed") from error
            raise HookError(name, f"importing {module_name!r} failed: {error}{_last_line(error)}") from error
        except SyntaxError as error:
            place = f"{error.filename}:{error.lineno}:{error.offset}"
            raise HookError(name, f"{place}: {error.msg}") from error
        except BaseException as error:  # a module may do anything when imported, sys.exit() too
            raise HookError(
                name, f"importing {module_name!r} failed: {type(error).__name__}: {error}{_last_line(error)}"
            ) from error

    def _set_changed_aside(self) -> dict[str, Any]:
        """Takes the user's modules out of `sys.modules` if one has changed: all of them, for they import each other."""
        if all(_digest(self._files[name]) == digest for name, digest in self._own.items()):
            return {}
        importlib.invalidate_caches()
        return {name: sys.modules.pop(name) for name in self._own if name in sys.modules}

    def _remember(self, imported: set[str]) -> None:
        for name in imported:
            source = self._source(name)
            if source is not None:
                self._files[name] = source
                self._own[name] = _digest(source)

    def _source(self, name: str) -> str | None:
        """The module's file if it is the user's own, not the interpreter's and not an installed one."""
        file = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            return None
        file = os.path.realpath(file)
        if any(_is_below(file, folder) for folder in _installed_folders()):
            return None
        return file if any(_is_below(file, root) for root in self._roots) else None


def _attribute(name: str, module: Any, path: str) -> HookFunction:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
            hint = f"; it has {', '.join(near[:8])}" if near else ""
            raise HookError(name, f"{module.__file__ or module.__name__} has no {path!r}{hint}") from None
    if not callable(found):
        raise HookError(name, f"{path!r} is no function but {type(found).__name__}")
    function: HookFunction = found
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        raise HookError(name, f"{path!r} must take one argument, the request") from None
    except ValueError:
        pass  # some builtins have no signature
    return function


def _is_async(function: HookFunction) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _last_line(error: BaseException) -> str:
    """Where in the user's file it happened."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and not any(_is_below(file, folder) for folder in _installed_folders()):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place if not place.startswith(f" ({__file__}") else ""


def _digest(file: str) -> str:
    try:
        with open(file, "rb") as source:
            return hashlib.blake2b(source.read(), digest_size=16).hexdigest()
    except OSError:
        return ""


def _installed_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    own = os.path.dirname(os.path.realpath(__file__))
    return tuple({os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")} | {own})


def _is_below(file: str, folder: str) -> bool:
    return file.startswith(folder.rstrip(os.sep) + os.sep)
