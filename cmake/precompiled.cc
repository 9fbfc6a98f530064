// The targets that precompile a header need a source file.
int main() { return 0; }
