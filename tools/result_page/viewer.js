// The page that shows people: their picture with what was found laid over it, and their bodies in space.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { Bodies, JOINTS, SPACE, unpacked } from "./bodies.js";

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const SIDES = { left: "#2f6fde", right: "#e8731a", middle: "#c0c4c8" };
const LEAST_CONFIDENCE = 0.1;

// The pinhole camera of the picture as a matrix of projection; pixel centres are at integers.
function pictureCamera() {
  const camera = new THREE.PerspectiveCamera();
  const [[fx, fy], [cx, cy], [width, height]] = [data.camera.focal, data.camera.center, data.camera.size];
  const [near, far] = [0.05, 1000];
  camera.projectionMatrix.set(
    (2 * fx) / width, 0, 1 - (2 * (cx + 0.5)) / width, 0,
    0, (2 * fy) / height, (2 * (cy + 0.5)) / height - 1, 0,
    0, 0, (far + near) / (near - far), (2 * far * near) / (near - far),
    0, 0, -1, 0,
  );
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  return camera;
}

class Page {
  constructor() {
    this.bodies = new Bodies(data);
    this.frame = 0;
    this.scene = new THREE.Scene();
    this.scene.add(this.bodies.root, new THREE.HemisphereLight(0xffffff, 0x777788, 2.2));
    const sun = new THREE.DirectionalLight(0xffffff, 1.6);
    sun.position.set(1, 2, 2);
    this.scene.add(sun);
    for (const light of this.scene.children) if (light.isLight) light.layers.enableAll();
    this.over = new THREE.WebGLRenderer({ canvas: element("mesh-over"), alpha: true, antialias: true, preserveDrawingBuffer: true });
    this.space = new THREE.WebGLRenderer({ canvas: element("bodies"), alpha: true, antialias: true, preserveDrawingBuffer: true });
    this.overCamera = data.camera && pictureCamera();
    this.camera = new THREE.PerspectiveCamera(35, 1, 0.02, 500);
    this.camera.layers.enable(SPACE);
    this.controls = new OrbitControls(this.camera, element("bodies"));
    this.controls.addEventListener("change", () => this.drawSpace());
    this.marks = [];
    this.people();
    this.files();
    this.tools();
    this.timeline();
    new ResizeObserver(() => this.resize()).observe(document.querySelector("main"));
    element("frame").addEventListener("load", () => this.resize());
  }

  async start() {
    await this.bodies.load();
    this.room();
    this.show(0);
    this.look("front");
    this.resize();
    document.body.dataset.ready = "yes";
  }

  // What stands in the space beside the bodies: a floor, the camera and its picture.
  room() {
    this.bodies.show(0);
    this.scene.updateMatrixWorld(true);
    const box = new THREE.Box3();
    for (const { group } of this.bodies.people.values()) if (group.visible) box.expandByObject(group, true);
    if (box.isEmpty()) box.set(new THREE.Vector3(-1, -1, -4), new THREE.Vector3(1, 1, -3));
    this.box = box;
    const middle = box.getCenter(new THREE.Vector3());
    const grid = new THREE.GridHelper(8, 16, 0x888888, 0x888888);
    grid.material.transparent = true;
    grid.material.opacity = 0.25;
    grid.position.set(middle.x, box.min.y, middle.z);
    grid.layers.set(SPACE);
    this.scene.add(grid);
    this.cameraParts = new THREE.Group();
    if (data.camera) {
      const depth = Math.max(0.3, 0.2 * -middle.z);
      const [width, height] = data.camera.size;
      const corners = [[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]].map(([x, y]) =>
        new THREE.Vector3(
          ((x - data.camera.center[0]) / data.camera.focal[0]) * depth,
          (-(y - data.camera.center[1]) / data.camera.focal[1]) * depth,
          -depth,
        ));
      const eye = new THREE.Vector3();
      const rays = corners.flatMap((corner, index) => [eye, corner, corner, corners[(index + 1) % 4]]);
      const frustum = new THREE.LineSegments(new THREE.BufferGeometry().setFromPoints(rays), new THREE.LineBasicMaterial({ color: 0x2f6fde }));
      this.texture = new THREE.Texture(element("frame"));
      this.texture.colorSpace = THREE.SRGBColorSpace;
      const plane = new THREE.BufferGeometry().setFromPoints(corners);
      plane.setAttribute("uv", new THREE.BufferAttribute(new Float32Array([0, 1, 1, 1, 1, 0, 0, 0]), 2));
      plane.setIndex([0, 3, 1, 1, 3, 2]);
      const picture = new THREE.Mesh(plane, new THREE.MeshBasicMaterial({ map: this.texture, side: THREE.DoubleSide }));
      this.cameraParts.add(frustum, picture);
    }
    this.cameraParts.visible = false;
    this.cameraParts.traverse((part) => part.layers.set(SPACE));
    this.scene.add(this.cameraParts);
    this.measured = new THREE.LineSegments(new THREE.BufferGeometry(), new THREE.LineBasicMaterial({ color: 0xd01040, depthTest: false }));
    this.measured.layers.set(SPACE);
    this.measured.frustumCulled = false;
    this.scene.add(this.measured);
  }

  look(view) {
    const middle = this.box.getCenter(new THREE.Vector3());
    const size = this.box.getSize(new THREE.Vector3()).length();
    const away = { front: [0, 0, 1], side: [1, 0, 0], top: [0, 1, 0.001] }[view];
    this.controls.target.copy(middle);
    this.camera.position.copy(middle).addScaledVector(new THREE.Vector3(...away), 0.9 * size / Math.tan(THREE.MathUtils.degToRad(this.camera.fov / 2)) / 2 + size / 2);
    this.controls.update();
    this.drawSpace();
  }

  show(number) {
    this.frame = number;
    const frame = data.frames[number];
    const picture = data.frames.findLast((other, index) => index <= number && other.picture)?.picture;
    if (picture && element("frame").src !== picture) element("frame").src = picture;
    this.bodies.show(number);
    element("time").value = number;
    element("clock").textContent = `${(frame.time - data.frames[0].time).toFixed(2)} s`;
    const there = frame.people.length;
    element("summary").textContent = `${there} ${there === 1 ? "person" : "people"}` + (data.note ? ` · ${data.note}` : "");
    this.draw();
  }

  draw() {
    this.drawOver();
    this.drawJoints();
    this.drawSpace();
  }

  drawOver() {
    if (!this.overCamera || !this.measured) return;
    this.bodies.setMesh(element("show-mesh").checked, Number(element("opacity").value));
    const joints = [this.cameraParts.visible, this.measured.visible];
    [this.cameraParts.visible, this.measured.visible] = [false, false];
    this.over.render(this.scene, this.overCamera);
    [this.cameraParts.visible, this.measured.visible] = joints;
  }

  drawSpace() {
    if (!this.measured) return;
    this.bodies.setMesh(element("space-mesh").checked, 1);
    if (element("space-joints").checked) this.camera.layers.enable(JOINTS);
    else this.camera.layers.disable(JOINTS);
    // Joints lie inside the body: it is seen through where both are shown.
    if (element("space-joints").checked) this.bodies.setMesh(element("space-mesh").checked, 0.55);
    this.space.render(this.scene, this.camera);
  }

  // The joints as they were found in the picture.
  drawJoints() {
    const canvas = element("joints-over");
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!element("show-joints").checked || !data.camera) return;
    const [width, height] = data.camera.size;
    const [across, down] = [canvas.width / width, canvas.height / height];
    context.lineWidth = Math.max(2, canvas.width / 350);
    for (const person of data.frames[this.frame].people) {
      if (!this.bodies.people.get(person.id).shown) continue;
      const skeleton = data.skeletons[person.skeleton];
      const place = ([x, y]) => [(x + 0.5) * across, (y + 0.5) * down];
      const seen = (index) => person.joints2d[index][0] !== null && person.joints2d[index][2] > LEAST_CONFIDENCE;
      skeleton.parents.forEach((parent, child) => {
        if (!seen(child)) return;
        context.strokeStyle = context.fillStyle = SIDES[skeleton.sides[child]];
        const to = place(person.joints2d[child]);
        if (parent >= 0 && seen(parent)) {
          context.beginPath();
          context.moveTo(...place(person.joints2d[parent]));
          context.lineTo(...to);
          context.stroke();
        }
        context.beginPath();
        context.arc(...to, context.lineWidth * 1.4, 0, 7);
        context.fill();
      });
    }
  }

  resize() {
    const image = element("frame");
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (image.clientWidth) {
      for (const id of ["mesh-over", "joints-over"]) {
        const style = element(id).style;
        style.left = `${image.offsetLeft}px`;
        style.top = `${image.offsetTop}px`;
        style.width = `${image.clientWidth}px`;
        style.height = `${image.clientHeight}px`;
      }
      this.over.setPixelRatio(ratio);
      this.over.setSize(image.clientWidth, image.clientHeight, false);
      const joints = element("joints-over");
      joints.width = image.clientWidth * ratio;
      joints.height = image.clientHeight * ratio;
      if (this.texture) this.texture.needsUpdate = true;
    }
    const { clientWidth, clientHeight } = element("space");
    this.space.setPixelRatio(ratio);
    this.space.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  people() {
    for (const entry of this.bodies.people.values()) {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      const score = data.frames.find((frame) => frame.people.some((person) => person.id === entry.id)).people.find((person) => person.id === entry.id).score;
      label.append(box, ` person ${entry.id} (${Math.round(100 * score)} %)`);
      box.addEventListener("change", () => {
        entry.shown = box.checked;
        this.show(this.frame);
      });
      element("people").append(label);
    }
  }

  files() {
    const save = (name, content, type) => {
      const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    };
    const button = (text, act) => {
      const one = Object.assign(document.createElement("button"), { textContent: text });
      one.addEventListener("click", act);
      element("files").append(one);
    };
    for (const file of data.files) button(`save ${file.name}`, async () => save(file.name, await unpacked(file.data), file.type));
    button("save picture", () => {
      const image = element("frame");
      const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth || 1, height: image.naturalHeight || 1 });
      const context = canvas.getContext("2d");
      for (const layer of [image, element("mesh-over"), element("joints-over")]) context.drawImage(layer, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save("picture.png", blob, "image/png"));
    });
  }

  tools() {
    for (const id of ["show-mesh", "opacity", "show-joints"]) element(id).addEventListener("input", () => this.draw());
    for (const id of ["space-mesh", "space-joints"]) element(id).addEventListener("input", () => this.drawSpace());
    element("show-picture").addEventListener("input", (event) => element("frame").classList.toggle("hidden", !event.target.checked));
    element("space-camera").addEventListener("input", (event) => {
      this.cameraParts.visible = event.target.checked;
      this.drawSpace();
    });
    for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => this.look(button.dataset.view));
    const canvas = element("bodies");
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => (element("hint").hidden ||= !element("hint").dataset.measured));
    canvas.addEventListener("click", (event) => this.mark(event));
    element("measure").addEventListener("click", (event) => {
      const on = event.target.getAttribute("aria-pressed") !== "true";
      event.target.setAttribute("aria-pressed", on);
      this.marks = [];
      element("hint").hidden = true;
      delete element("hint").dataset.measured;
      this.measured.geometry.setFromPoints([]);
      this.drawSpace();
    });
  }

  hits(event) {
    const { left, top, width, height } = element("bodies").getBoundingClientRect();
    const at = new THREE.Vector2((2 * (event.clientX - left)) / width - 1, 1 - (2 * (event.clientY - top)) / height);
    const ray = new THREE.Raycaster();
    ray.layers.enable(JOINTS);
    ray.setFromCamera(at, this.camera);
    return { left, top, hits: ray.intersectObject(this.bodies.root).filter(({ object }) => object.isMesh && object.parent.visible) };
  }

  point(event) {
    const { left, top, hits } = this.hits(event);
    // Joints lie inside the body.
    const hit = hits.find(({ object }) => object.userData.joint !== undefined);
    const hint = element("hint");
    // A distance stays to be read until something else is told.
    if (hit || !hint.dataset.measured) hint.hidden = !hit;
    if (!hit) return;
    delete hint.dataset.measured;
    const joints = hit.object.parent;
    const index = hit.object.userData.joint;
    const angle = joints.angle(index);
    hint.textContent = joints.skeleton.joints[index].replaceAll("_", " ") + (angle === null ? "" : `, ${angle.toFixed(0)}°`);
    hint.style.left = `${event.clientX - left + 12}px`;
    hint.style.top = `${event.clientY - top + 12}px`;
  }

  mark(event) {
    if (element("measure").getAttribute("aria-pressed") !== "true") return;
    const { left, top, hits } = this.hits(event);
    if (!hits.length) return;
    const joint = hits.find(({ object }) => object.userData.joint !== undefined);
    this.marks = [...this.marks, joint ? joint.object.position.clone() : hits[0].point].slice(-2);
    if (this.marks.length < 2) return;
    this.measured.geometry.dispose();
    this.measured.geometry = new THREE.BufferGeometry().setFromPoints(this.marks);
    const hint = element("hint");
    hint.hidden = false;
    hint.dataset.measured = "yes";
    hint.textContent = `${(100 * this.marks[0].distanceTo(this.marks[1])).toFixed(1)} cm`;
    hint.style.left = `${event.clientX - left + 12}px`;
    hint.style.top = `${event.clientY - top + 12}px`;
    this.marks = [];
    this.drawSpace();
  }

  timeline() {
    if (data.frames.length < 2) return;
    element("timeline").hidden = false;
    element("time").max = data.frames.length - 1;
    element("time").addEventListener("input", (event) => this.show(Number(event.target.value)));
    const play = element("play");
    let begun = null;
    const duration = data.frames.at(-1).time - data.frames[0].time + 1 / (data.rate || 25);
    const step = (now) => {
      if (begun === null) return;
      const time = data.frames[0].time + (((now - begun) / 1000) % duration);
      let next = data.frames.findLastIndex((frame) => frame.time <= time);
      if (next !== this.frame) this.show(Math.max(next, 0));
      requestAnimationFrame(step);
    };
    play.addEventListener("click", () => {
      const playing = begun !== null;
      begun = playing ? null : performance.now() - 1000 * (data.frames[this.frame].time - data.frames[0].time);
      play.textContent = playing ? "▶" : "⏸";
      if (!playing) requestAnimationFrame(step);
    });
  }
}

window.hpePage = new Page();
window.hpePage.start();
