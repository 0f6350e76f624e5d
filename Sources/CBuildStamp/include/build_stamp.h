// The commit this binary was built from, as `make` passed it in PARLEY_COMMIT; empty for a build without make.
const char *parley_build_commit(void);
