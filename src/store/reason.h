#ifndef NPXC_STORE_REASON_H
#define NPXC_STORE_REASON_H

/*
 * Why npm failed, in one line without control bytes, taken from what npm 9, 10 and 11 print ("npm ERR! ..." and
 * "npm error ..."). Pure; owned.
 */
char *reason_of_npm(const char *errors);
extern const char reason_unreachable[]; /* how it begins when npm could not connect */

/* Why an install script failed: its own words, which stand before npm's ("--foreground-scripts"), on either stream. */
char *reason_of_script(const char *output, const char *errors);

#endif
