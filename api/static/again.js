// To a reader who comes from elsewhere the way through the sign-in, which keeps the view that the hash names.
// (Where there is a hash, to ask for the same address again would ask for nothing.)

location.replace(`/sign-in?to=${encodeURIComponent(location.pathname + location.search)}${location.hash}`);
