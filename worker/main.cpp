#include "worker/worker_command.h"

int main(int argc, char** argv) { return shoal::worker_command(argc, argv); }
