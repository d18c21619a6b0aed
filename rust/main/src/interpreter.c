/* Starts Python with nothing but what this file carries: no environment, no site, no files beside it. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>

PyMODINIT_FUNC PyInit__engine(void);

/* _tidegate_load.library(path): opens a shared library whose symbols are for all that come after it. */
static PyObject *load_library(PyObject *module, PyObject *argument) {
    (void)module;
    const char *path = PyUnicode_AsUTF8(argument);
    if (path == NULL) return NULL;
    if (dlopen(path, RTLD_NOW | RTLD_GLOBAL) == NULL) {
        PyErr_SetString(PyExc_ImportError, dlerror());
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef load_methods[] = {
    {"library", load_library, METH_O, "Opens a shared library for all that come after it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef load_module = {PyModuleDef_HEAD_INIT, "_tidegate_load", NULL, 0, load_methods, NULL, NULL, NULL, NULL};

static PyObject *make_load_module(void) {
    return PyModule_Create(&load_module);
}

static int refuse(PyStatus status, PyConfig *config) {
    PyConfig_Clear(config);
    if (PyStatus_IsExit(status)) return status.exitcode;
    fprintf(stderr, "tidegate: Python can't be started: %s\n", status.err_msg ? status.err_msg : "no reason given");
    return 1;
}

int tidegate_interpret(const char *file, int count, char *const *arguments) {
    if (PyImport_AppendInittab("tidegate._engine", PyInit__engine) < 0 ||
        PyImport_AppendInittab("_tidegate_load", make_load_module) < 0) {
        fprintf(stderr, "tidegate: out of memory\n");
        return 1;
    }

    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before); /* UTF-8, whatever the locale says */
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 0;
    config.parse_argv = 0;
    config.install_signal_handlers = 1; /* SIGPIPE is an error of a write, SIGINT a KeyboardInterrupt */
    config.module_search_paths_set = 1;

    struct {
        wchar_t **place;
        const char *value;
    } texts[] = {
        {&config.program_name, file}, {&config.executable, file},  {&config.base_executable, file},
        {&config.home, file},         {&config.prefix, file},      {&config.base_prefix, file},
        {&config.exec_prefix, file},  {&config.base_exec_prefix, file},
        {&config.run_command, "import _tidegate_start; _tidegate_start.main()"},
    };
    for (size_t at = 0; at < sizeof texts / sizeof texts[0] && !PyStatus_Exception(status); at++)
        status = PyConfig_SetBytesString(&config, texts[at].place, texts[at].value);

    if (!PyStatus_Exception(status)) {
        wchar_t *path = Py_DecodeLocale(file, NULL);
        status = path ? PyWideStringList_Append(&config.module_search_paths, path) : PyStatus_NoMemory();
        PyMem_RawFree(path);
    }
    if (!PyStatus_Exception(status)) status = PyConfig_SetBytesArgv(&config, count, (char *const *)arguments);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status)) return refuse(status, &config);
    PyConfig_Clear(&config);
    return Py_RunMain();
}
