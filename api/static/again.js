// To a reader who comes from elsewhere the way through the sign-in, which keeps the view that the hash names.
// (Where there is a hash, to ask for the same address again would ask for nothing.)

const root = new URL("..", import.meta.url).pathname; // as the proxy in front has it
location.replace(`${root}sign-in?to=${encodeURIComponent(location.pathname + location.search)}${location.hash}`);
