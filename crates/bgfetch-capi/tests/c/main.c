/* The suite: `suite [NAME]` runs all cases, or those whose name contains NAME. */
#include "check.h"

int main(int count, char **arguments) {
  const test_case *groups[] = {calls, bodies, events, network, misuse, threads};
  int run = 0;
  for (size_t group = 0; group < sizeof groups / sizeof *groups; group++) {
    for (const test_case *one = groups[group]; one->name; one++) {
      if (count > 1 && !strstr(one->name, arguments[1])) continue;
      printf("%s\n", one->name);
      fflush(stdout);
      static host it;
      if (one->options) host_open(&it, one->options);
      one->run(&it);
      if (one->options) host_close(&it);
      run++;
    }
  }
  printf("%d cases\n", run);
  return run > 0 ? 0 : 1;
}
