// v8_truth_module.mjs - what v8_truth.js imports: its file is a URL to V8.

export function callBack(cb) {
  return [1].map((x) => x + cb())[0];
}

const load = async (cb) => {
  await null;
  return callBack(cb);
};
export default load;
